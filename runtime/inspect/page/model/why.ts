import { isTerminal, type Event, type EventOf } from "../../../../machines/events.ts";
import { explain } from "../../../../machines/explain.ts";
import { isAtRest, type AgentState } from "../../../../machines/state.ts";
import { describeLimit } from "../../../cli/describe-limit.ts";
import type { Recording } from "./recording.ts";

/** One sentence, or two, that say why the run stands where it stands at a moment: from the events, and from the guards that the chart asked. */
export function whyHere(recording: Recording, seq: number): string {
  if (recording.length === 0) return "Nothing was recorded yet.";
  if (recording.events.length === 0) return "There is no state to explain: only the lines of this log can be shown.";
  const state = recording.stateAt(seq);
  if (state.seq === 0) return "Nothing happened yet.";
  return isAtRest(state) ? whyAtRest(recording, state) : whyWorking(recording, state);
}

/** The guards that were asked about an event, up to the one that decided. Empty where none was. */
export function decisionOf(recording: Recording, event: Event): string {
  const { considered, to, from } = explain(recording.stateBefore(event), event);
  const asked = considered.flatMap(({ guard, passed }) =>
    guard === undefined ? [] : [`${guard} ${passed ? "held" : "did not hold"}`],
  );
  if (asked.length === 0) return "";
  return `${asked.join(", ")}: ${to === undefined ? "refused" : to === from ? `it stays in ${to}` : `${from} → ${to}`}`;
}

function whyAtRest(recording: Recording, state: AgentState): string {
  const end = lastOf(recording, state.seq, (event) =>
    state.value === "acting.awaiting_approval" ? event.type === "approval_request" : isTerminal(event),
  );
  switch (state.status) {
    case "waiting": {
      const calls = state.pendingApprovals.map(({ callId, name }) => `${callId} ${name}`);
      const many = calls.length > 1 ? "need" : "needs";
      return `It waits for a person: ${calls.join(", ")} ${many} an approval, and nothing else runs${guardsOf(recording, end)}.`;
    }
    case "interrupted":
      return end?.type === "interrupted" ? whyInterrupted(recording, state, end) : "It was interrupted.";
    case "done": {
      const answered = lastOf(recording, state.seq, ({ type }) => type === "message");
      return `It is done: the answer of step ${state.step} was complete and no input waited${guardsOf(recording, answered)}.`;
    }
    case "failed": {
      const { code = "unknown", message = "" } = state.error ?? {};
      return `It failed (${code}): ${sentence(message)} It can be resumed.`;
    }
    case "cancelled":
      return end?.type === "cancelled"
        ? `It was cancelled by ${end.data.by}${quoted(end.data.reason)}: that is final.`
        : "It was cancelled: that is final.";
    default:
      return "Nothing was asked yet.";
  }
}

function whyInterrupted(recording: Recording, state: AgentState, end: EventOf<"interrupted">): string {
  const { by, reason, where, keptChars, latencyMs } = end.data;
  if (state.limit !== undefined) return `It rests at a limit: ${sentence(describeLimit(state.limit))}`;
  const asked = lastOf(recording, end.seq, ({ type }) => type === "interrupt");
  const when = asked === undefined ? "" : ` at seq ${asked.seq}`;
  const kept = keptChars > 0 ? `; ${keptChars} characters of the answer were kept` : "";
  const took = latencyMs > 0 ? ` after ${Math.round(latencyMs * 10) / 10} ms` : "";
  const guards = guardsOf(recording, end);
  return `It stopped because ${by} asked for it${quoted(reason)}${when}, in ${where}. It was quiet${took}${guards}${kept}.`;
}

function whyWorking(recording: Recording, state: AgentState): string {
  const { interrupt } = state.core;
  if (state.interruptRequested && interrupt !== undefined) {
    const until = state.value === "interrupted.draining" ? "everything in flight is quiet" : "this step is over";
    return `It was asked to stop by ${interrupt.by}${quoted(interrupt.reason)} at seq ${interrupt.seq}, and does when ${until}.`;
  }
  const last = recording.controlBefore(state.seq);
  const since = last === undefined ? "" : `, and what counted last is ${last.type} (seq ${last.seq})`;
  if (state.value === "thinking.backoff") {
    const retry = lastOf(recording, state.seq, ({ type }) => type === "retry");
    const reason = retry?.type === "retry" ? retry.data.reason : "the request failed";
    return `It waits to ask the model again, as attempt ${state.retry?.attempt ?? 1}: ${sentence(reason)}`;
  }
  const guards = last === undefined ? "" : deciderOf(recording, last);
  const because = guards === "" ? "" : `: ${guards}`;
  return `It has not stopped: it is in ${state.value}${since}${because}.`;
}

/** The guard that decided, in brackets. */
function guardsOf(recording: Recording, event: Event | undefined): string {
  const said = event === undefined ? "" : deciderOf(recording, event);
  return said === "" ? "" : ` (${said})`;
}

/** The last guard that was asked: the one that held. Those before it did not, and stand with the event itself. */
function deciderOf(recording: Recording, event: Event): string {
  const { considered, to, from } = explain(recording.stateBefore(event), event);
  const last = considered.at(-1);
  if (last?.guard === undefined || !last.passed || to === undefined) return "";
  return `${last.guard} held: ${to === from ? `it stays in ${to}` : `${from} → ${to}`}`;
}

/** Ends with a full stop, unless it ends as a sentence does. */
export function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

function quoted(reason: string): string {
  return reason === "" ? "" : ` (“${reason.slice(0, 200)}”)`;
}

function lastOf(recording: Recording, seq: number, is: (event: Event) => boolean): Event | undefined {
  for (let index = Math.min(recording.indexOf(seq), recording.events.length - 1); index >= 0; index--) {
    const event = recording.events[index];
    if (event !== undefined && is(event)) return event;
  }
  return undefined;
}
