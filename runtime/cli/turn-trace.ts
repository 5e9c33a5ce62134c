import { isTerminal, type Event } from "../../machines/events.ts";
import type { ToolOutcome } from "../../machines/messages.ts";

/** A call of the step that is open. */
export interface TracedCall {
  readonly callId: string;
  readonly name: string;
  readonly started: boolean;
  readonly outcome: ToolOutcome | undefined;
}

/** What a turn has come to, as far as the sentences about it need. A value: {@link trace} makes the next one. */
export interface TurnTrace {
  /** When the turn began, in the log's time. */
  readonly since: number;
  /** The end of the answer that streams or was cut. */
  readonly tail: string;
  /** It streams a call. */
  readonly asks: boolean;
  readonly calls: readonly TracedCall[];
  /** Why the request is made again, while it waits for that: the class of the error, or its sentence. */
  readonly retryFor: string | undefined;
  /** Something was answered in this turn: text that stays, or a tool's outcome. */
  readonly answered: boolean;
  /** What the model heard in this turn. */
  readonly input: string | undefined;
  /** Inputs that it has not heard yet. */
  readonly waiting: ReadonlyMap<string, string>;
  /** The turn has ended: the next event of a run begins another. */
  readonly over: boolean;
}

export const NO_TURN: TurnTrace = {
  since: 0,
  tail: "",
  asks: false,
  calls: [],
  retryFor: undefined,
  answered: false,
  input: undefined,
  waiting: new Map(),
  over: true,
};

/** How much of the answer's end is kept: enough to see whether a sentence is over. */
const TAIL = 16;

/** Follows a run by its events. Pure. */
export function trace(turn: TurnTrace, event: Event): TurnTrace {
  const next =
    turn.over && begins(event) ? { ...NO_TURN, waiting: turn.waiting, since: event.timestamp, over: false } : turn;
  if (isTerminal(event)) return { ...next, over: true };
  switch (event.type) {
    case "user_input":
      return { ...next, waiting: new Map(next.waiting).set(event.data.id, event.data.text) };
    case "input_delivered": {
      const waiting = new Map(next.waiting);
      const text = waiting.get(event.data.id);
      waiting.delete(event.data.id);
      if (text === undefined || !event.data.delivered) return { ...next, waiting };
      return { ...next, waiting, input: next.input === undefined ? text : `${next.input}\n${text}` };
    }
    case "thinking":
      return { ...next, tail: "", asks: false, calls: [], retryFor: undefined };
    case "retry":
      return { ...next, retryFor: event.data.class ?? event.data.reason };
    case "tool_call_delta":
      return next.asks ? next : { ...next, asks: true };
    case "token_stream":
      if (event.data.kind !== "text") return next;
      return { ...next, tail: (next.tail + event.data.text).slice(-TAIL), answered: true };
    case "tool_call": {
      const { callId, name } = event.data;
      return { ...next, calls: [...next.calls, { callId, name, started: false, outcome: undefined }] };
    }
    case "tool_start":
      return withCall(next, event.data.callId, (call) => ({ ...call, started: true }));
    case "tool_result": {
      const { callId, outcome, late } = event.data;
      if (late === true) return next;
      const answered = next.answered || outcome === "ok" || outcome === "error";
      return { ...withCall(next, callId, (call) => ({ ...call, outcome })), answered };
    }
    default:
      return next;
  }
}

/** What may leave idle, done, interrupted or failed. Everything else after the end of a turn is a note. */
function begins({ type }: Event): boolean {
  return type === "run_start" || type === "user_input" || type === "resume" || type === "input_delivered";
}

function withCall(turn: TurnTrace, callId: string, change: (call: TracedCall) => TracedCall): TurnTrace {
  return { ...turn, calls: turn.calls.map((call) => (call.callId === callId ? change(call) : call)) };
}
