import { isCut, REDUCER_VERSION, type Event, type EventOf } from "./events.ts";
import { canonical } from "./hash.ts";
import type { AgentState } from "./state.ts";
import { stateHash } from "./state-hash.ts";

/**
 * What is wrong with what an event repeats of what stands elsewhere in the log, in one sentence.
 *
 * R4 A message says what was streamed for it (`pruned`: of which deltas are gone). P14 A call has the arguments of its message. P6 A rest event
 * carries the hash of the state before it, and its figures.
 */
export function contentProblem(before: AgentState, event: Event, pruned: boolean): string | undefined {
  switch (event.type) {
    case "tool_call_delta": {
      const known = before.partial?.calls.find(({ index }) => index === event.data.index);
      return known === undefined || known.callId === event.data.callId
        ? undefined
        : "it names the call otherwise than before";
    }
    case "interrupt": {
      const { redirect } = event.data;
      return redirect === undefined || before.inputs.some(({ id }) => id === redirect)
        ? undefined
        : `it redirects with input "${redirect}", which does not wait`;
    }
    case "message":
      if (event.data.step !== before.step)
        return `it answers step ${event.data.step}, and the request was of step ${before.step}`;
      return pruned ? undefined : messageProblem(before, event);
    case "tool_call":
      return callProblem(before, event);
    case "done":
    case "failed":
    case "cancelled":
    case "interrupted":
      return restProblem(before, event);
    default:
      return undefined;
  }
}

function messageProblem({ partial }: AgentState, { data }: EventOf<"message">): string | undefined {
  if (partial === undefined) return undefined;
  if (data.text !== partial.text) return "its text is not what was streamed (R4)";
  if ((data.reasoning ?? "") !== partial.reasoning) return "its reasoning is not what was streamed (R4)";
  const cut = isCut(data);
  const streamed = cut
    ? []
    : partial.calls.map(({ callId, providerCallId, name, args }) => ({ callId, providerCallId, name, args }));
  if (canonical(data.calls) !== canonical(streamed)) return "its calls are not what was streamed (R4)";
  return undefined;
}

function callProblem(before: AgentState, { data }: EventOf<"tool_call">): string | undefined {
  const call = before.core.calls.find(({ callId }) => callId === data.callId);
  if (call === undefined) return undefined;
  if (call.name !== data.name || call.providerCallId !== data.providerCallId) {
    return `it names the call otherwise than its message does ("${call.name}")`;
  }
  if (canonical(data.args) !== canonicalText(call.rawArgs)) return "its arguments are not those of its message (P14)";
  return undefined;
}

/** The canonical form of arguments as a model writes them; none at all mean an empty object. */
function canonicalText(args: string): string | undefined {
  if (args.trim() === "") return "{}";
  try {
    const value: unknown = JSON.parse(args);
    return canonical(value);
  } catch {
    return undefined;
  }
}

/** A reducer of another version made other hashes and may have counted otherwise: nothing to compare. */
function restProblem(
  before: AgentState,
  event: EventOf<"done" | "failed" | "cancelled" | "interrupted">,
): string | undefined {
  const { data } = event;
  if (data.reducer !== REDUCER_VERSION) return undefined;
  const hash = stateHash(before);
  if (data.stateHash !== hash) return `its state hash is ${data.stateHash}, and the state before it has ${hash} (P6)`;
  if (canonical(data.usage) !== canonical(before.usage)) return "its usage is not what the requests before it used";
  if (data.steps !== before.step) return `it counts ${data.steps} steps, and there were ${before.step}`;
  if (event.type === "interrupted") return stopProblem(before, event);
  if (event.type === "done" && event.data.output !== before.output) return "its output is not the last answer";
  return undefined;
}

function stopProblem({ core, partial, step }: AgentState, { data }: EventOf<"interrupted">): string | undefined {
  const { interrupt, cut } = core;
  if (data.step !== step) return `it stopped step ${data.step}, and the run was in step ${step}`;
  const kept = (partial ?? cut)?.text.length ?? 0;
  if (data.keptChars !== kept) return `it kept ${data.keptChars} characters, and there were ${kept}`;
  if (interrupt === undefined) return undefined;
  const { by, reason, mode, where } = interrupt;
  const same = data.by === by && data.reason === reason && data.mode === mode && data.where === where;
  return same ? undefined : "it does not say what the interrupt before it said";
}
