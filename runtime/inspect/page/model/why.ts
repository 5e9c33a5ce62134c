import { isHot, isTerminal, type Event, type EventOf } from "../../../../machines/events.ts";
import { explain } from "../../../../machines/explain.ts";
import { isAtRest, type AgentState } from "../../../../machines/state.ts";
import { describeLimit, plural } from "../../../cli/describe-limit.ts";
import { expose } from "../../../cli/exposed.ts";
import { oneLine } from "../../../cli/sanitizer.ts";
import type { Recording } from "./recording.ts";

/**
 * One sentence, or a few, that say why the run stands where it stands at a moment: from the events up to it, and from the guards that the chart asked.
 *
 * W1 What it says at a moment follows from the events up to that moment alone: nothing that comes later changes it.
 * W2 It says that the run stopped where it rests, and nowhere else; and names who or what stopped it as the event says that did.
 * W3 What others wrote (reasons, names, messages) stands there as text on one line, without what cannot be seen, and never longer than {@link LONGEST}.
 *
 * Only the last line of a recording is told apart, unless it is a run that is followed (`live`): what is behind it nobody knows.
 */
export function whyHere(recording: Recording, seq: number, live = false): string {
  if (recording.length === 0) return "Nothing was recorded yet.";
  if (recording.events.length === 0) return "There is no state to explain: only the lines of this log can be shown.";
  const state = recording.stateAt(seq);
  if (state.seq === 0) return "Nothing happened yet.";
  if (!hasState(recording, seq)) {
    return `There is no state to explain at this line: the last that is known is seq ${state.seq}, ${state.value}.`;
  }
  if (isAtRest(state)) return whyAtRest(recording, state);
  const end =
    !live && state.seq === recording.endSeq ? " Nothing is recorded after that: it works on, or is gone." : "";
  return `${whyWorking(recording, state)}${end}`;
}

/** Whether the line at or before a seq could be folded. */
export function hasState(recording: Recording, seq: number): boolean {
  return recording.indexOf(seq) < recording.events.length;
}

/** The status at a moment, in one word. */
export function statusAt(recording: Recording, seq: number): string {
  const known = seq === 0 || recording.length === 0 || hasState(recording, seq);
  return known ? recording.stateAt(seq).status : "unknown";
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

/** Of what others wrote, in UTF-16 units. */
const LONGEST = 200;
/** Of a name or a code. */
const LONGEST_NAME = 64;
/** Calls or inputs that are named; others are counted. */
const MOST = 5;

function whyAtRest(recording: Recording, state: AgentState): string {
  const { status, seq } = state;
  switch (status) {
    case "waiting":
      return whyWaiting(recording, state);
    case "interrupted":
      return `${whyInterrupted(recording, state)}${unknownCalls(state)}${inputsOf(state)}`;
    case "done": {
      const decider = deciderInto(recording, seq, "thinking.finishing");
      return `It is done: the answer of step ${state.step} was complete and no input waited${guardsOf(recording, decider)}.`;
    }
    case "failed": {
      const { code = "", message = "" } = state.error ?? {};
      const why = text(message) === "" ? "nothing was said about it" : text(message);
      return `It failed (${name(code, "unknown")}): ${sentence(why)} It can be resumed.`;
    }
    case "cancelled": {
      const end = lastOf(recording, seq, isTerminal);
      return end?.type === "cancelled"
        ? `It was cancelled by ${name(end.data.by, "somebody")}${quoted(end.data.reason)}: that is final.`
        : "It was cancelled: that is final.";
    }
    default:
      return "Nothing was asked yet.";
  }
}

function whyWaiting(recording: Recording, state: AgentState): string {
  const { pendingApprovals } = state;
  const need = pendingApprovals.length > 1 ? "need" : "needs";
  const decider = deciderInto(recording, state.seq, "acting.awaiting_approval");
  return `It waits for a person: ${callsOf(pendingApprovals)} ${need} an approval, and nothing else runs${guardsOf(recording, decider)}.`;
}

function whyInterrupted(recording: Recording, state: AgentState): string {
  const end = lastOf(recording, state.seq, isTerminal);
  if (end?.type !== "interrupted") return "It was interrupted.";
  const { by, where, keptChars, latencyMs } = end.data;
  const limit = state.limit === undefined ? "" : limitOf(state.limit);
  if (by === "limit" && limit !== "") return `It rests at a limit: ${limit}`;
  const kept = keptChars > 0 ? `; ${plural(keptChars, "character")} of the answer were kept` : "";
  const took = latencyMs > 0 ? ` after ${Math.round(latencyMs * 10) / 10} ms` : "";
  const also = limit === "" ? "" : ` It also rests at a limit: ${limit}`;
  return `It stopped because ${stopper(recording, end)}, in ${name(where, "an unknown state")}. It was quiet${took}${guardsOf(recording, end)}${kept}.${also}`;
}

/** Who stopped it, why and when: a clause. */
function stopper(recording: Recording, end: EventOf<"interrupted">): string {
  const { by, reason } = end.data;
  const { fork } = recording.latest.core.start ?? {};
  if (by === "fork" && fork !== undefined) {
    return `it is a fork of ${name(fork.runId, "a run")}, copied up to seq ${fork.seq}: a fork begins at rest`;
  }
  // Given up without anybody having asked.
  if (by === "recovery" && reason === "recoveries") return "it was recovered again and again, and got no further";
  const asked = lastOf(recording, end.seq, ({ type }) => type === "interrupt");
  const when = asked === undefined ? "" : ` at seq ${asked.seq}`;
  if (by === "input") return `somebody redirected it${when}`;
  return `${name(by, "somebody")} asked for it${quoted(reason)}${when}`;
}

function whyWorking(recording: Recording, state: AgentState): string {
  const { value, core } = state;
  if (value === "interrupted.draining" || state.interruptRequested) {
    const also =
      core.interrupt === undefined || state.limit === undefined
        ? ""
        : ` It also reached a limit: ${limitOf(state.limit)}`;
    return `${whyStopping(recording, state)}${also}`;
  }
  if (value === "done") return `It is done with this turn, and goes on by itself:${inputsOf(state)}`;
  if (value === "thinking.backoff") {
    const retry = lastOf(recording, state.seq, ({ type }) => type === "retry");
    const reason = retry?.type === "retry" ? text(retry.data.reason) : "";
    const why = reason === "" ? "the request failed" : reason;
    return `It waits to ask the model again, as attempt ${state.retry?.attempt ?? core.retry?.attempt ?? 1}: ${sentence(why)}`;
  }
  const last = recording.controlBefore(state.seq);
  const since = last === undefined ? "" : `, and what counted last is ${last.type} (seq ${last.seq})`;
  const guards = last === undefined ? "" : deciderOf(recording, last);
  const because = guards === "" ? "" : `: ${guards}`;
  const taken = last?.type === "owner" ? ` ${name(last.data.who, "Somebody")} took it over (${last.data.why}).` : "";
  return `It has not stopped: it is in ${value}${since}${because}.${taken}`;
}

/** Asked to stop, or on its way to a limit, and not quiet yet. */
function whyStopping(recording: Recording, state: AgentState): string {
  const { interrupt, context } = state.core;
  const draining = state.value === "interrupted.draining";
  const until = draining ? "everything in flight is quiet" : "this step is over";
  if (interrupt === undefined) {
    if (state.limit !== undefined) return `It comes to rest at a limit: ${limitOf(state.limit)}`;
    if (context.limit === "tripped")
      return `It comes to rest at a limit: ${plural(context.maxSteps, "step")} per turn.`;
    return `It is given up: it was recovered ${plural(state.core.recoveries, "time")} and got no further, and rests when ${until}.`;
  }
  const { by, reason } = interrupt;
  if (context.cancelling) {
    const asked = lastOf(recording, state.seq, (event) => event.type === "interrupt" && event.data.cancel === true);
    const when = asked === undefined ? "" : ` at seq ${asked.seq}`;
    return `It was asked to end for good by ${name(by, "somebody")}${quoted(reason)}${when}, and does when ${until}.`;
  }
  const goesOn = context.resuming === "no" ? "" : ", and goes on with what was said meanwhile";
  if (by === "fork") return `It is a fork, and comes to rest when ${until}${goesOn}.`;
  const asked = lastOf(recording, state.seq, ({ type }) => type === "interrupt");
  const when = ` at seq ${asked?.seq ?? interrupt.seq}`;
  if (by === "input") return `It was redirected${when}: it stops when ${until}${goesOn}.`;
  return `It was asked to stop by ${name(by, "somebody")}${quoted(reason)}${when}, and does when ${until}${goesOn}.`;
}

function limitOf(limit: EventOf<"limit">["data"]): string {
  const raise = text(limit.raise);
  return `${sentence(describeLimit(limit))}${raise === "" ? "" : ` ${sentence(raise)}`}`;
}

function unknownCalls({ orphans }: AgentState): string {
  return orphans.length === 0 ? "" : ` Nobody knows how ${callsOf(orphans)} ended: its process is gone.`;
}

function inputsOf({ inputs }: AgentState): string {
  if (inputs.length === 0) return "";
  return ` ${plural(inputs.length, "input")} ${inputs.length === 1 ? "waits" : "wait"} to be heard.`;
}

function callsOf(calls: AgentState["orphans"]): string {
  const named = calls.slice(0, MOST).map((call) => `${name(call.callId, "a call")} ${name(call.name, "of no name")}`);
  const more = calls.length > MOST ? ` and ${calls.length - MOST} more` : "";
  return `${named.join(", ")}${more}`;
}

/** The event that led into a state of the chart, and not one that came while it stood there. */
function deciderInto(recording: Recording, seq: number, value: string): Event | undefined {
  let looked = 0;
  let decider: Event | undefined;
  lastOf(recording, seq, (event) => {
    if (isHot(event)) return false;
    const { from, to } = explain(recording.stateBefore(event), event);
    if (to === value && from !== value) decider = event;
    return decider !== undefined || ++looked === FURTHEST;
  });
  return decider;
}

/** Control events that are looked back upon for the one that decided: each of them is folded to. */
const FURTHEST = 40;

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
export function sentence(said: string): string {
  return /[.!?…]$/.test(said) ? said : `${said}.`;
}

function text(said: string, max = LONGEST): string {
  const line = expose(oneLine(said, max));
  return line.length <= max ? line : `${line.slice(0, max - 1)}…`;
}

function name(said: string, otherwise: string): string {
  const line = text(said, LONGEST_NAME);
  return line === "" ? otherwise : line;
}

function quoted(reason: string): string {
  const said = text(reason);
  return said === "" ? "" : ` (“${said}”)`;
}

function lastOf(recording: Recording, seq: number, is: (event: Event) => boolean): Event | undefined {
  for (let index = Math.min(recording.indexOf(seq), recording.events.length - 1); index >= 0; index--) {
    const event = recording.events[index];
    if (event !== undefined && is(event)) return event;
  }
  return undefined;
}
