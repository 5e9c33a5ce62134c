import { callerIn, callerOf, callerOfResume, callerOfTurn, type CallersBefore } from "../../machines/caller.ts";
import type { Event, EventData, EventOf } from "../../machines/events.ts";
import { spanIdOf, traceIdOf, type TracedRun, type TraceHeaders } from "../../machines/trace-context.ts";
import { fail, OpenTurn } from "./open-turn.ts";
import { remarkOf } from "./span-remark.ts";
import type { SpanAttributes, SpanRecord } from "./turn-spans.ts";

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

/** UTF-16 units of a text that is quoted. */
const MOST_CHARS = 16_384;

/** The events that end a turn. */
type End = EventOf<"done" | "interrupted" | "failed" | "cancelled">;

/**
 * The spans of a run, from its events alone, by the semantic conventions for generative AI (names of 1.41): a turn is `invoke_agent`, a request of it
 * `chat`, a call that executes `execute_tool`. Pure: the same log gives the same spans and ids, live, on replay and in another process.
 *
 * S1 Of the deltas only the first one behind a request counts, so that whoever saw only that one builds the same.
 * S2 A span ends with the turn at the latest. What was recorded behind its end (a late result) is no part of it.
 */
export class TraceBuilder {
  private readonly options: TraceOptions;
  private start: EventData<"run_start"> | undefined;
  private turn: OpenTurn | undefined;
  private turns = 0;
  private previous: { readonly traceId: string; readonly spanId: string } | undefined;
  /** An interrupted run is begun again by no input alone. */
  private paused = false;
  /** Inputs that wait to be heard, where their text is asked for. */
  private readonly waiting = new Map<string, string>();
  /** Whose trace they came from, where they came from one. */
  private readonly callers = new Map<string, TraceHeaders>();
  /** Who resumed the run while its turn was still being stopped. */
  private nextCaller: TraceHeaders | undefined;
  /** What calls will run with, where content is asked for. */
  private readonly args = new Map<string, string>();

  constructor(options: TraceOptions = {}) {
    this.options = options;
  }

  /** The spans of the turn that this event ends; none for every other. */
  take(event: Event): readonly SpanRecord[] {
    if (event.type === "run_start") {
      this.start = event.data;
      return [];
    }
    if (event.type === "user_input") this.wait(event.data);
    const turn = this.turn ?? this.begin(event);
    if (turn === undefined) {
      // Of a run at rest: nobody will hear it any more.
      if (event.type === "input_delivered") this.heard(event.data.id);
      return [];
    }
    const begins = this.turn === undefined;
    this.turn = turn;
    this.note(turn, event);
    // Who resumed the run began this turn, and not the next one.
    if (begins) this.nextCaller = undefined;
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
  private begin(event: Event): OpenTurn | undefined {
    if (!this.leavesRest(event)) return undefined;
    this.turns++;
    const { start } = this;
    const { runId, seq, timestamp } = event;
    const name = start?.agent.name ?? "";
    const begun = {
      spanId: spanIdOf(this.run(runId), seq),
      name: `invoke_agent ${name}`,
      kind: "internal" as const,
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
    };
    const turn = new OpenTurn(begun, this.callerOf(event));
    if (this.previous !== undefined) turn.spans.link(this.previous);
    return turn;
  }

  private run(runId: string): TracedRun {
    return { agent: this.start?.agent.name ?? "", runId };
  }

  private before(): CallersBefore {
    return { callerOfInput: (id) => this.callers.get(id), nextCaller: this.nextCaller };
  }

  private callerOf(event: Event): TraceHeaders | undefined {
    // After a stop no input begins a turn, but the resume that was recorded meanwhile.
    const goesOn = event.type === "input_delivered" && this.paused;
    const caller = goesOn ? this.nextCaller : callerOfTurn(event, this.before());
    return callerOf({ caller, start: this.start });
  }

  private leavesRest(event: Event): boolean {
    switch (event.type) {
      case "user_input":
        return !this.paused;
      case "input_delivered":
        return event.data.delivered;
      case "resume":
      case "thinking":
      case "limit":
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

  private note(turn: OpenTurn, event: Event): void {
    const remark = remarkOf(event, this.options.content === true);
    if (remark !== undefined) turn.spans.addEvent(event, remark);
    const { timestamp } = event;
    switch (event.type) {
      case "input_delivered":
        this.hear(turn, event);
        return;
      case "thinking":
        this.request(turn, event);
        return;
      case "token_stream":
      case "tool_call_delta":
        turn.speak(event);
        return;
      case "message":
        this.answer(turn, event);
        return;
      case "error":
        if (event.data.source !== "model") return;
        turn.failure = event.data.class ?? event.data.code;
        fail(turn.chat, turn.failure, this.told(event.data.message));
        turn.closeChat(timestamp);
        return;
      case "retry":
        turn.spend(event.data.cost);
        // An attempt that ended without an error of its own.
        fail(turn.chat, event.data.class ?? "retried", undefined);
        turn.closeChat(timestamp);
        return;
      case "tool_call":
        this.keepArgs(event.data.callId, event.data.args);
        return;
      case "approval":
        if (event.data.args !== undefined) this.keepArgs(event.data.callId, event.data.args);
        turn.spans.linkTo(callerIn(event.data), event);
        return;
      case "tool_start":
        this.call(turn, event);
        return;
      case "tool_result":
        this.result(turn, event);
        return;
      case "resume":
        this.nextCaller = callerOfResume(event.data, this.before());
        return;
      case "owner":
        // What the process before this one had under way is over; nobody knows since when.
        turn.lose(timestamp, "process_died");
        turn.spans.linkTo(callerIn(event.data), event);
        return;
      default:
    }
  }

  private request(turn: OpenTurn, { seq, timestamp, runId, data }: EventOf<"thinking">): void {
    const { model, step, attempt } = data;
    turn.ask({
      spanId: spanIdOf(this.run(runId), seq),
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
    return this.options.content === true && message !== undefined ? quoted(message) : undefined;
  }

  private answer(turn: OpenTurn, { timestamp, data }: EventOf<"message">): void {
    const { finish, usage, text, calls, cost } = data;
    const { chat } = turn;
    turn.spend(cost);
    turn.use(usage);
    if (chat === undefined) return;
    chat.attributes["gen_ai.response.finish_reasons"] = [finish];
    if (finish === "truncated") fail(chat, "truncated", undefined);
    if (this.options.content === true) {
      const parts = [
        ...(text === "" ? [] : [{ type: "text", content: quoted(text) }]),
        ...calls.map(({ callId, name, args }) => ({
          type: "tool_call",
          id: callId,
          name,
          arguments: quoted(args),
        })),
      ];
      chat.attributes["gen_ai.output.messages"] = JSON.stringify([{ role: "assistant", parts, finish_reason: finish }]);
    }
    turn.closeChat(timestamp);
  }

  private call(turn: OpenTurn, { seq, timestamp, runId, data }: EventOf<"tool_start">): void {
    const { callId, name, attempt } = data;
    const args = this.args.get(callId);
    const span = turn.spans.open({
      spanId: spanIdOf(this.run(runId), seq),
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

  private result(turn: OpenTurn, event: EventOf<"tool_result">): void {
    const { callId, outcome, output, error, late } = event.data;
    if (late === true) return;
    this.args.delete(callId);
    const span = turn.calls.get(callId);
    if (span === undefined) {
      // It never ran, or its process died.
      turn.spans.addEvent(event, { callId, outcome });
      return;
    }
    turn.calls.delete(callId);
    span.attributes["rubato.outcome"] = outcome;
    if (outcome === "error" || outcome === "timeout" || outcome === "unknown")
      fail(span, error?.code ?? outcome, this.told(error?.message));
    if (this.options.content === true && output !== undefined)
      span.attributes["gen_ai.tool.call.result"] = quoted(JSON.stringify(output));
    span.endTime = event.timestamp;
  }

  private wait({ id, text, ...data }: EventData<"user_input">): void {
    if (this.options.content === true) this.waiting.set(id, quoted(text));
    const caller = callerIn({ id, text, ...data });
    if (caller !== undefined) this.callers.set(id, caller);
  }

  private hear(turn: OpenTurn, event: EventOf<"input_delivered">): void {
    const { text, caller } = this.heard(event.data.id);
    if (!event.data.delivered) return;
    turn.spans.linkTo(caller, event);
    if (text !== undefined) turn.hear(text);
  }

  /** It waits no more. */
  private heard(id: string): { readonly text: string | undefined; readonly caller: TraceHeaders | undefined } {
    const waited = { text: this.waiting.get(id), caller: this.callers.get(id) };
    this.waiting.delete(id);
    this.callers.delete(id);
    return waited;
  }

  private keepArgs(callId: string, args: unknown): void {
    if (this.options.content === true) this.args.set(callId, quoted(JSON.stringify(args)));
  }

  private end(turn: OpenTurn, event: End): readonly SpanRecord[] {
    const { runId, timestamp, type } = event;
    const { chat, spans } = turn;
    const { root: span } = spans;
    if (chat !== undefined && type !== "failed") chat.attributes["gen_ai.response.finish_reasons"] = ["interrupted"];
    else fail(chat, type === "failed" ? event.data.error.code : type, undefined);
    span.attributes["rubato.end"] = type;
    span.attributes["rubato.steps"] = event.data.steps;
    if (type === "failed") fail(span, turn.failure ?? event.data.error.code, this.told(event.data.error.message));
    if (this.options.content === true) {
      const said = turn.inputs.map((text) => ({ role: "user", parts: [{ type: "text", content: text }] }));
      span.attributes["gen_ai.input.messages"] = JSON.stringify(said);
      if (type === "done") {
        const parts = [{ type: "text", content: quoted(event.data.output) }];
        span.attributes["gen_ai.output.messages"] = JSON.stringify([
          { role: "assistant", parts, finish_reason: "stop" },
        ]);
      }
    }
    const records = turn.end(timestamp, traceIdOf(this.run(runId)));
    const [root] = records;
    if (root !== undefined) this.previous = { traceId: root.traceId, spanId: root.spanId };
    this.paused = type === "interrupted";
    this.turn = undefined;
    return records;
  }
}

/** As much of a text as a span carries. */
function quoted(text: string): string {
  if (text.length <= MOST_CHARS) return text;
  return `${text.slice(0, MOST_CHARS).toWellFormed()}... (${text.length - MOST_CHARS} more)`;
}
