import { withoutCaller } from "../machines/caller.ts";
import { isHot, type Event, type Json, type RunUsage } from "../machines/events.ts";
import { canonical } from "../machines/hash.ts";
import { lineDiff, type LineChange } from "../machines/line-diff.ts";
import type { ToolOutcome } from "../machines/messages.ts";
import { initialState, type AgentState, type Status } from "../machines/state.ts";
import { foldLogged } from "./fold.ts";
import type { EventLog } from "./log/event-log.ts";
import { logPages } from "./log-pages.ts";

/** A call that one side made. */
export interface DiffCall {
  readonly callId: string;
  readonly name: string;
  /** As validated; the model's own text where they were not valid. */
  readonly args: Json;
  /** Undefined while it has none. */
  readonly outcome: ToolOutcome | undefined;
}

/** What a run did after the common part, and where it stands. */
export interface DiffSide {
  readonly runId: string;
  /** Of its last event. */
  readonly seq: number;
  readonly status: Status;
  /** The texts of its answers after the common part, one below the other; of one that still streams as far as it came. */
  readonly text: string;
  readonly calls: readonly DiffCall[];
  /** Model requests after the common part, retries of one request counted once. */
  readonly steps: number;
  /** Tokens and requests after the common part. */
  readonly usage: RunUsage;
  /** The first event that is not common; undefined where the run ends before. */
  readonly first: Event | undefined;
}

export interface RunDiff {
  /** The last seq up to which both runs are the same. Equal to both ends where they do not differ at all. */
  readonly common: number;
  readonly same: boolean;
  readonly a: DiffSide;
  readonly b: DiffSide;
  /** What turns a's text into b's. */
  readonly text: readonly LineChange[];
}

/**
 * Where two runs begin to differ, and what each did after it. They are compared by what the events say, not by run id, timestamp, origin or whose
 * trace it came from, so a run and its fork are the same up to the fork, or up to the first result that was edited. Deltas that were pruned on one side count as the
 * same. Both logs are read once, one page of each at a time.
 *
 * Throws {@link RubatoError} `unknown_run`, `newer_schema`, `log`.
 */
export async function diffRuns(log: EventLog, a: string, b: string): Promise<RunDiff> {
  const left = reading(log, a);
  const right = reading(log, b);
  while (await advance(left, right));
  const common = Math.min(left.state.seq, right.state.seq);
  const [one, other] = [await rest(left), await rest(right)];
  const same = one.first === undefined && other.first === undefined;
  return { common, same, a: one, b: other, text: lineDiff(one.text, other.text) };
}

/** A run that is read and folded, one event ahead. */
interface Reading {
  readonly runId: string;
  readonly state: AgentState;
  /** The next event, which stays the next one. */
  peek(): Promise<Event | undefined>;
  /** Folds the next event. */
  take(): void;
}

function reading(log: EventLog, runId: string): Reading {
  const pages = logPages(log, runId);
  let page: readonly Event[] = [];
  let index = 0;
  let state = initialState();
  return {
    runId,
    get state() {
      return state;
    },
    async peek() {
      while (index >= page.length) {
        const next = await pages.next();
        if (next.done === true) return undefined;
        page = next.value;
        index = 0;
      }
      return page[index];
    },
    take() {
      const event = page[index++];
      if (event !== undefined) state = foldLogged(state, event);
    },
  };
}

/** Goes on in both as far as they are the same there. False where they are not, or where one ends. */
async function advance(left: Reading, right: Reading): Promise<boolean> {
  const one = await left.peek();
  const other = await right.peek();
  if (one === undefined || other === undefined) return false;
  if (left.state.seq === right.state.seq && one.type !== "gap" && other.type !== "gap") {
    if (content(one) !== content(other)) return false;
    left.take();
    right.take();
    return true;
  }
  // What was pruned on one side was deltas on the other, or was pruned there as well, perhaps in other ranges.
  const end = Math.max(
    one.type === "gap" ? one.seq : 0,
    other.type === "gap" ? other.seq : 0,
    left.state.seq,
    right.state.seq,
  );
  const before = left.state.seq + right.state.seq;
  for (const side of [left, right]) {
    for (let next = await side.peek(); next !== undefined && next.seq <= end; next = await side.peek()) {
      if (!isHot(next) && next.type !== "gap") break;
      side.take();
    }
  }
  return left.state.seq + right.state.seq > before;
}

/** What an event says, whichever run it stands in. */
function content(event: Event): string {
  switch (event.type) {
    case "token_stream":
      // Most events are these, and canonical text costs.
      return `${event.data.kind} ${event.data.messageId} ${event.data.attempt} ${event.data.offset} ${event.data.text}`;
    case "run_start":
      return canonical({ ...withoutCaller(event.data), fork: undefined });
    case "owner":
    case "user_input":
    case "resume":
    case "approval":
      return canonical([event.type, withoutCaller(event.data)]);
    case "tool_start": {
      // Its key begins with the id of the run that made it: in a fork that is the origin.
      const { idempotencyKey, ...data } = event.data;
      return canonical([event.type, data, idempotencyKey.endsWith(`:${data.callId}`)]);
    }
    case "interrupted":
      return canonical([event.type, { ...event.data, latencyMs: 0 }]);
    default:
      return canonical([event.type, event.data]);
  }
}

/** Reads a side to its end. */
async function rest(side: Reading): Promise<DiffSide> {
  const before = side.state;
  const first = await side.peek();
  const texts: string[] = [];
  for (let event = first; event !== undefined; event = await side.peek()) {
    if (event.type === "message" && event.data.text !== "") texts.push(event.data.text);
    side.take();
  }
  const { state } = side;
  const open = state.partial?.text ?? "";
  if (open !== "" && first !== undefined) texts.push(open);
  const known = before.toolCalls;
  const calls = [...state.toolCalls.values()].filter(({ callId }) => known.get(callId)?.outcome === undefined);
  return {
    runId: side.runId,
    seq: state.seq,
    status: state.status,
    text: texts.join("\n"),
    calls: calls.map(({ callId, name, args, rawArgs, outcome }) => ({ callId, name, args: args ?? rawArgs, outcome })),
    steps: state.step - before.step,
    usage: usageSince(before.usage, state.usage),
    first,
  };
}

function usageSince(before: RunUsage, after: RunUsage): RunUsage {
  return {
    inputTokens: after.inputTokens - before.inputTokens,
    outputTokens: after.outputTokens - before.outputTokens,
    requests: after.requests - before.requests,
    unknownRequests: after.unknownRequests - before.unknownRequests,
  };
}
