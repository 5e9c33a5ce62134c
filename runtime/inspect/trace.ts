import type { Event, EventData, EventOf } from "../../machines/events.ts";
import { readTraceparent, spanIdOf, traceIdOf, type TraceContext } from "../../machines/trace-context.ts";

/**
 * The spans of a run, from its events alone, by the semantic conventions for generative AI (names of 1.41): a turn is `invoke_agent`, a request of it
 * `chat`, a call that executes `execute_tool`. Pure: the same log gives the same spans and ids, live, on replay and in another process.
 *
 * S1 Of the deltas only the first one behind a request counts, so that whoever saw only that one builds the same.
 * S2 A span ends with the turn at the latest. What was recorded behind its end (a late result) is no part of it.
 */
export interface SpanRecord {
  readonly traceId: string;
  readonly spanId: string;
  /** Undefined for a turn that nobody's trace contains. */
  readonly parentSpanId: string | undefined;
  /** What a turn belongs to outside of the run. */
  readonly remoteParent: TraceContext | undefined;
  readonly name: string;
  readonly kind: "internal" | "client";
  /** Ms since 1970. */
  readonly startTime: number;
  readonly endTime: number;
  readonly attributes: SpanAttributes;
  readonly events: readonly SpanEvent[];
  /** The turn before this one. */
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  /** Why it failed; undefined where it did not. An interrupt is no failure. */
  readonly error: string | undefined;
}

export type SpanAttributes = Readonly<Record<string, string | number | boolean | string[]>>;

export interface SpanEvent {
  readonly name: string;
  readonly time: number;
  readonly attributes: SpanAttributes;
}

export interface TraceOptions {
  /** What people, models and tools said as well. Default false. */
  readonly content?: boolean;
  /** `gen_ai.provider.name`, such as `openai`, of all models or by the name of one. Default `_OTHER`. */
  readonly provider?: string | ((model: string) => string);
}

/** The spans of all turns that are over, in order: each turn, then its requests and calls. */
export function traceOf(events: Iterable<Event>, options: TraceOptions = {}): SpanRecord[] {
  const builder = new TraceBuilder(options);
  const spans: SpanRecord[] = [];
  for (const event of events) spans.push(...builder.take(event));
  return spans;
}

interface OpenSpan {
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly name: string;
  readonly kind: SpanRecord["kind"];
  readonly startTime: number;
  readonly attributes: Record<string, string | number | boolean | string[]>;
  readonly events: SpanEvent[];
  endTime: number | undefined;
  error: string | undefined;
}

interface Turn {
  readonly span: OpenSpan;
  readonly spans: OpenSpan[];
  readonly calls: Map<string, OpenSpan>;
  chat: OpenSpan | undefined;
  /** Its request has said nothing yet. */
  silent: boolean;
  inputTokens: number;
  outputTokens: number;
  unknownRequests: number;
  cost: number | undefined;
  /** The class of the model's last error. */
  failure: string | undefined;
  readonly inputs: string[];
}

/** The events that end a turn. */
type End = EventOf<"done" | "interrupted" | "failed" | "cancelled">;

/** Folds the events of one run, from its first one on. */
export class TraceBuilder {
  private readonly options: TraceOptions;
  private start: EventData<"run_start"> | undefined;
  private remote: TraceContext | undefined;
  private turn: Turn | undefined;
  private turns = 0;
  private previous: string | undefined;
  /** An interrupted run is begun again by no input alone. */
  private paused = false;
  /** Said while it rests, heard in the turn to come. */
  private waiting: { readonly id: string; readonly text: string }[] = [];
  /** What calls will run with, where content is asked for. */
  private readonly args = new Map<string, string>();

  constructor(options: TraceOptions = {}) {
    this.options = options;
  }

  /** The spans of the turn that this event ends; none for every other. */
  take(event: Event): readonly SpanRecord[] {
    if (event.type === "run_start") {
      this.start = event.data;
      this.remote = readTraceparent(event.data.traceparent);
      return [];
    }
    if (event.type === "user_input" && this.options.content === true) this.waiting.push(event.data);
    const turn = this.turn ?? this.begin(event);
    if (turn === undefined) return [];
    this.note(turn, event);
    switch (event.type) {
      case "done":
      case "interrupted":
      case "failed":
      case "cancelled":
        return this.end(turn, event);
      default:
        return [];
    }
  }

  /** A turn begins at the event that leaves a rest. */
  private begin(event: Event): Turn | undefined {
    if (!this.leavesRest(event)) return undefined;
    this.turns++;
    const { start } = this;
    const { runId, seq, timestamp } = event;
    const name = start?.agent.name ?? "";
    const span: OpenSpan = {
      spanId: spanIdOf(runId, seq),
      parentSpanId: this.remote?.spanId,
      name: `invoke_agent ${name}`,
      kind: "internal",
      startTime: timestamp,
      attributes: {
        "gen_ai.operation.name": "invoke_agent",
        ...this.common(start?.model ?? "", runId),
        "rubato.turn": this.turns,
        ...(start?.fork === undefined || this.turns > 1
          ? {}
          : { "rubato.fork.run_id": start.fork.runId, "rubato.fork.seq": start.fork.seq }),
        ...(start?.parent === undefined ? {} : { "rubato.parent.run_id": start.parent.runId }),
      },
      events: [],
      endTime: undefined,
      error: undefined,
    };
    this.turn = {
      span,
      spans: [span],
      calls: new Map(),
      chat: undefined,
      silent: false,
      inputTokens: 0,
      outputTokens: 0,
      unknownRequests: 0,
      cost: undefined,
      failure: undefined,
      inputs: [],
    };
    return this.turn;
  }

  private leavesRest(event: Event): boolean {
    switch (event.type) {
      case "user_input":
        return !this.paused;
      case "input_delivered":
        return event.data.delivered;
      case "resume":
      case "thinking":
      case "done":
      case "interrupt":
        return true;
      default:
        return false;
    }
  }

  private common(model: string, runId: string): SpanAttributes {
    const { provider = "_OTHER" } = this.options;
    return {
      "gen_ai.provider.name": typeof provider === "string" ? provider : provider(model),
      "gen_ai.agent.name": this.start?.agent.name ?? "",
      "gen_ai.conversation.id": runId,
      "gen_ai.request.model": model,
    };
  }

  private note(turn: Turn, event: Event): void {
    switch (event.type) {
      case "input_delivered":
        this.hear(turn, event.data);
        return;
      case "thinking":
        this.request(turn, event);
        return;
      case "token_stream":
      case "tool_call_delta":
        if (turn.silent && turn.chat !== undefined) {
          const seconds = (event.timestamp - turn.chat.startTime) / 1_000;
          turn.chat.attributes["gen_ai.response.time_to_first_chunk"] = seconds;
        }
        turn.silent = false;
        return;
      case "message":
        this.answer(turn, event);
        return;
      case "error":
        if (event.data.source === "model") {
          turn.failure = event.data.class ?? event.data.code;
          fail(turn.chat, turn.failure, this.told(event.data.message));
          closeChat(turn, event.timestamp);
        }
        return;
      case "tool_call":
        this.keepArgs(event.data.callId, event.data.args);
        return;
      case "approval":
        if (event.data.args !== undefined) this.keepArgs(event.data.callId, event.data.args);
        addEvent(turn, event, { callId: event.data.callId, decision: event.data.decision, by: event.data.by });
        return;
      case "tool_start":
        this.call(turn, event);
        return;
      case "tool_result":
        this.result(turn, event);
        return;
      case "owner":
        // What the process before this one had under way is over; nobody knows since when.
        lose(turn, event.timestamp, "process_died");
        addEvent(turn, event, { epoch: event.data.epoch, why: event.data.why });
        return;
      default:
        this.remark(turn, event);
    }
  }

  /** What happens beside requests and calls, as events of the turn. */
  private remark(turn: Turn, event: Event): void {
    const content = this.options.content === true;
    switch (event.type) {
      case "interrupt": {
        const { by, mode, reason, cancel = false } = event.data;
        addEvent(turn, event, { by, mode, cancel, ...(content ? { reason } : {}) });
        return;
      }
      case "interrupted": {
        const { by, mode, where, keptChars, latencyMs } = event.data;
        addEvent(turn, event, { by, mode, where, kept_chars: keptChars, latency_ms: latencyMs });
        return;
      }
      case "resume":
        addEvent(turn, event, { by: event.data.by, partial: event.data.partial });
        return;
      case "retry": {
        const { step, attempt, delayMs, class: kind, fallback, cost } = event.data;
        const why = { ...(kind === undefined ? {} : { class: kind }), ...(fallback === undefined ? {} : { fallback }) };
        addEvent(turn, event, { step, attempt, delay_ms: delayMs, ...why });
        spend(turn, cost);
        // An attempt that ended without an error of its own.
        fail(turn.chat, kind ?? "retried", undefined);
        closeChat(turn, event.timestamp);
        return;
      }
      case "limit": {
        const { kind, used, max } = event.data;
        addEvent(turn, event, { kind, used, max });
        return;
      }
      case "approval_request":
        addEvent(turn, event, { callId: event.data.callId });
        return;
      case "user_input":
        addEvent(turn, event, { id: event.data.id, when: event.data.when });
        return;
      default:
    }
  }

  private request(turn: Turn, { seq, timestamp, runId, data }: EventOf<"thinking">): void {
    closeChat(turn, timestamp);
    const { model, step, attempt } = data;
    turn.silent = true;
    turn.chat = open(turn, {
      spanId: spanIdOf(runId, seq),
      name: `chat ${model}`,
      kind: "client",
      startTime: timestamp,
      attributes: {
        "gen_ai.operation.name": "chat",
        ...this.common(model, runId),
        "gen_ai.request.stream": true,
        "rubato.step": step,
        "rubato.attempt": attempt,
      },
    });
  }

  /** What a tool or an endpoint said of its failure is content: it may quote what it was given. */
  private told(message: string | undefined): string | undefined {
    return this.options.content === true ? message : undefined;
  }

  private answer(turn: Turn, { timestamp, data }: EventOf<"message">): void {
    const { finish, usage, text, calls, cost } = data;
    const { chat } = turn;
    spend(turn, cost);
    if (usage === "unknown") turn.unknownRequests++;
    else {
      turn.inputTokens += usage.inputTokens;
      turn.outputTokens += usage.outputTokens;
    }
    if (chat === undefined) return;
    chat.attributes["gen_ai.response.finish_reasons"] = [finish];
    if (usage !== "unknown") {
      chat.attributes["gen_ai.usage.input_tokens"] = usage.inputTokens;
      chat.attributes["gen_ai.usage.output_tokens"] = usage.outputTokens;
    }
    if (finish === "truncated") fail(chat, "truncated", undefined);
    if (this.options.content === true) {
      const parts = [
        ...(text === "" ? [] : [{ type: "text", content: text }]),
        ...calls.map(({ callId, name, args }) => ({ type: "tool_call", id: callId, name, arguments: args })),
      ];
      chat.attributes["gen_ai.output.messages"] = JSON.stringify([{ role: "assistant", parts, finish_reason: finish }]);
    }
    closeChat(turn, timestamp);
  }

  private call(turn: Turn, { seq, timestamp, runId, data }: EventOf<"tool_start">): void {
    const { callId, name, attempt } = data;
    const args = this.args.get(callId);
    const span = open(turn, {
      spanId: spanIdOf(runId, seq),
      name: `execute_tool ${name}`,
      kind: "internal",
      startTime: timestamp,
      attributes: {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": name,
        "gen_ai.tool.call.id": callId,
        "gen_ai.tool.type": "function",
        "gen_ai.conversation.id": runId,
        "rubato.attempt": attempt,
        ...(args === undefined ? {} : { "gen_ai.tool.call.arguments": args }),
      },
    });
    turn.calls.set(callId, span);
  }

  private result(turn: Turn, event: EventOf<"tool_result">): void {
    const { callId, outcome, output, error, late } = event.data;
    if (late === true) return;
    this.args.delete(callId);
    const span = turn.calls.get(callId);
    if (span === undefined) {
      // It never ran, or its process died.
      addEvent(turn, event, { callId, outcome });
      return;
    }
    turn.calls.delete(callId);
    span.attributes["rubato.outcome"] = outcome;
    if (outcome === "error" || outcome === "timeout" || outcome === "unknown")
      fail(span, error?.code ?? outcome, this.told(error?.message));
    if (this.options.content === true && output !== undefined)
      span.attributes["gen_ai.tool.call.result"] = JSON.stringify(output);
    span.endTime = event.timestamp;
  }

  private hear(turn: Turn, { id, delivered }: EventData<"input_delivered">): void {
    const heard = this.waiting.filter((input) => input.id === id);
    this.waiting = this.waiting.filter((input) => input.id !== id);
    if (delivered) turn.inputs.push(...heard.map(({ text }) => text));
  }

  private keepArgs(callId: string, args: unknown): void {
    if (this.options.content === true) this.args.set(callId, JSON.stringify(args));
  }

  private end(turn: Turn, event: End): readonly SpanRecord[] {
    const { runId, timestamp, type } = event;
    const { span, chat } = turn;
    if (chat !== undefined && type !== "failed") chat.attributes["gen_ai.response.finish_reasons"] = ["interrupted"];
    else fail(chat, type === "failed" ? event.data.error.code : type, undefined);
    closeChat(turn, timestamp);
    lose(turn, timestamp, "unknown");
    span.attributes["rubato.end"] = type;
    span.attributes["rubato.steps"] = event.data.steps;
    span.attributes["gen_ai.usage.input_tokens"] = turn.inputTokens;
    span.attributes["gen_ai.usage.output_tokens"] = turn.outputTokens;
    if (turn.unknownRequests > 0) span.attributes["rubato.usage.unknown_requests"] = turn.unknownRequests;
    if (turn.cost !== undefined) span.attributes["rubato.cost"] = turn.cost;
    if (type === "failed") fail(span, turn.failure ?? event.data.error.code, this.told(event.data.error.message));
    if (this.options.content === true) {
      const said = turn.inputs.map((text) => ({ role: "user", parts: [{ type: "text", content: text }] }));
      span.attributes["gen_ai.input.messages"] = JSON.stringify(said);
      if (type === "done") {
        const parts = [{ type: "text", content: event.data.output }];
        span.attributes["gen_ai.output.messages"] = JSON.stringify([
          { role: "assistant", parts, finish_reason: "stop" },
        ]);
      }
    }
    span.endTime = timestamp;
    const traceId = this.remote?.traceId ?? traceIdOf(runId);
    const links = this.previous === undefined ? [] : [{ traceId, spanId: this.previous }];
    this.previous = span.spanId;
    this.paused = type === "interrupted";
    this.turn = undefined;
    return turn.spans.map((each): SpanRecord => {
      const { spanId, parentSpanId, name, kind, startTime, endTime = timestamp, attributes, events, error } = each;
      const own = each === span ? { remoteParent: this.remote, links } : { remoteParent: undefined, links: [] };
      return { traceId, spanId, parentSpanId, name, kind, startTime, endTime, attributes, events, error, ...own };
    });
  }
}

type Begun = Pick<OpenSpan, "spanId" | "name" | "kind" | "startTime" | "attributes">;

function open(turn: Turn, begun: Begun): OpenSpan {
  const span: OpenSpan = {
    ...begun,
    parentSpanId: turn.span.spanId,
    events: [],
    endTime: undefined,
    error: undefined,
  };
  turn.spans.push(span);
  return span;
}

function closeChat(turn: Turn, time: number): void {
  if (turn.chat !== undefined) turn.chat.endTime = time;
  turn.chat = undefined;
  turn.silent = false;
}

/** Ends what is under way without having ended. */
function lose(turn: Turn, time: number, error: string): void {
  fail(turn.chat, error, undefined);
  closeChat(turn, time);
  for (const span of turn.calls.values()) {
    fail(span, error, undefined);
    span.endTime = time;
  }
  turn.calls.clear();
}

/** The first reason is the one. */
function fail(span: OpenSpan | undefined, type: string, message: string | undefined): void {
  if (span === undefined || span.error !== undefined) return;
  span.attributes["error.type"] = type;
  span.error = message ?? type;
}

function addEvent(turn: Turn, { type, timestamp }: Event, attributes: SpanAttributes): void {
  turn.span.events.push({ name: `rubato.${type}`, time: timestamp, attributes });
}

function spend(turn: Turn, cost: number | undefined): void {
  if (cost !== undefined) turn.cost = (turn.cost ?? 0) + cost;
}
