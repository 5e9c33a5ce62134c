import { contentProblem } from "./content-check.ts";
import { eventSchema, firstSeq, isNote, type Event } from "./events.ts";
import { messageListProblem, type Message } from "./messages.ts";
import { startCheck } from "./start-check.ts";
import { initialState, type AgentState } from "./state.ts";
import { step } from "./step.ts";

/**
 * Holds a log to what is promised of every log, event by event. It folds with `step()` and then does not believe it: each rule is looked at a
 * second time, by what the events themselves say.
 *
 * I1 seqs are contiguous. I2 owners' epochs rise. I3 at most one terminal event per turn, and nothing of the turn after it. I6, I10, P11: see
 * {@link startCheck}. I9 the message list is valid at every event. R4, P6: see {@link contentProblem}.
 */
export interface LogCheck {
  /** What is wrong with the next event, in one sentence. After the first problem nothing more can be said about the log. */
  take(event: Event): string | undefined;
  /** What is wrong with the log as a whole, once all of it was taken. */
  end(): string | undefined;
  /** After the events so far. */
  readonly state: AgentState;
}

export function logCheck(runId: string): LogCheck {
  let state = initialState();
  let epoch = 1;
  /** The event that ended the turn which the run is still in. */
  let ended: Event | undefined;
  /** Deltas of the open answer were pruned. */
  let pruned = false;
  const starts = startCheck();

  function take(event: Event): string | undefined {
    const before = state;
    const broken = envelopeProblem(before, event, runId);
    if (broken !== undefined) return broken;
    const result = step(before, event);
    if (!result.accepted) return `it does not fit the state before it (${result.reason})`;
    state = result.state;
    if (event.type === "gap" && before.partial !== undefined) pruned = true;
    if (event.type === "thinking") pruned = false;
    return (
      epochProblem(event) ??
      turnProblem(before, event) ??
      starts.take(before, event) ??
      listProblem(before, state) ??
      contentProblem(before, event, pruned)
    );
  }

  function epochProblem(event: Event): string | undefined {
    if (event.type !== "owner") return undefined;
    if (event.data.epoch <= epoch) return `owner epoch ${event.data.epoch} comes after epoch ${epoch} (I2)`;
    epoch = event.data.epoch;
    return undefined;
  }

  function turnProblem(before: AgentState, event: Event): string | undefined {
    const last = ended;
    if (state.turn !== before.turn) ended = undefined;
    switch (event.type) {
      case "interrupted":
        // With a resume already recorded it also begins the next turn.
        if (state.value === "interrupted.paused") ended = event;
        break;
      case "done":
      case "failed":
      case "cancelled":
        ended = event;
        break;
      default:
        break;
    }
    if (last === undefined || state.turn !== before.turn || mayFollowRest(event)) return undefined;
    return `it comes after "${last.type}" (seq ${last.seq}) in the same turn (I3)`;
  }

  return {
    take,
    end() {
      const fork = state.core.start?.fork;
      if (fork === undefined || state.seq >= fork.seq) return undefined;
      return `the run is a copy of "${fork.runId}" up to seq ${fork.seq}, and it was not copied to its end`;
    },
    get state() {
      return state;
    },
  };
}

/** What the event says of itself, whatever stands before it. */
function envelopeProblem(before: AgentState, event: Event, runId: string): string | undefined {
  if (firstSeq(event) !== before.seq + 1) return `seq ${firstSeq(event)} does not follow seq ${before.seq} (I1)`;
  if (event.runId !== runId) return `it belongs to run "${event.runId}"`;
  const parsed = eventSchema.safeParse(event);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return `it is no event of this vocabulary: ${issue?.path.map(String).join(".")} ${issue?.message}`;
  }
  if (event.cause !== undefined && event.cause >= firstSeq(event))
    return `its cause, seq ${event.cause}, is not before it`;
  return undefined;
}

/** What a run at rest may record without leaving its rest, and what ends it for good. */
function mayFollowRest(event: Event): boolean {
  if (isNote(event)) return true;
  switch (event.type) {
    case "owner":
    case "user_input":
    case "failed":
    case "cancelled":
      return true;
    case "input_delivered":
      return !event.data.delivered;
    case "tool_result":
      return event.data.from === "orphaned";
    default:
      return false;
  }
}

/** I9 for the part of the list that the event changed: what stands before its last complete message was looked at when it came. */
export function listProblem(before: AgentState, after: AgentState): string | undefined {
  const { history, tail } = after.core;
  if (history === before.core.history && tail === before.core.tail && after.partial?.base === before.partial?.base) {
    return undefined;
  }
  let from = Math.min(history.length, before.core.history.length);
  while (from > 0 && history.items[from - 1]?.role === "tool") from--;
  const changed: Message[] = history.items.slice(Math.max(0, from - 1), history.length);
  const problem = messageListProblem([...changed, ...tail]);
  return problem === undefined ? undefined : `no provider would take the messages after it: ${problem} (I9)`;
}
