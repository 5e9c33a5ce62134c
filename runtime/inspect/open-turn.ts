import type { Event, EventData } from "../../machines/events.ts";
import type { TraceHeaders } from "../../machines/trace-context.ts";
import { TurnSpans, type Begun, type OpenSpan, type SpanRecord } from "./turn-spans.ts";

/** Inputs of a turn that its span quotes. */
const MOST_INPUTS = 128;
/** UTF-16 units of what an endpoint or a tool calls its failure. */
const MOST_TYPE = 128;

/** A turn that is under way: what of it is open, and what its span will add up. */
export class OpenTurn {
  readonly spans: TurnSpans;
  /** The request that is out. */
  chat: OpenSpan | undefined;
  /** The class of the model's last error. */
  failure: string | undefined;
  readonly calls = new Map<string, OpenSpan>();
  readonly inputs: string[] = [];
  /** Its request has said nothing yet. */
  private silent = false;
  private inputTokens = 0;
  private outputTokens = 0;
  private unknownRequests = 0;
  private cost: number | undefined;
  private droppedInputs = 0;

  constructor(begun: Begun, caller: TraceHeaders | undefined) {
    this.spans = new TurnSpans(begun, caller);
  }

  ask(begun: Begun): void {
    this.closeChat(begun.startTime);
    this.silent = true;
    this.chat = this.spans.open(begun);
  }

  /** A delta came: the first one of an answer says when. */
  speak({ timestamp }: Event): void {
    if (this.silent && this.chat !== undefined) {
      const seconds = (timestamp - this.chat.startTime) / 1_000;
      this.chat.attributes["gen_ai.response.time_to_first_chunk"] = seconds;
    }
    this.silent = false;
  }

  hear(text: string): void {
    if (this.inputs.length < MOST_INPUTS) this.inputs.push(text);
    else this.droppedInputs++;
  }

  use(usage: EventData<"message">["usage"]): void {
    if (usage === "unknown") {
      this.unknownRequests++;
      return;
    }
    this.inputTokens += usage.inputTokens;
    this.outputTokens += usage.outputTokens;
    if (this.chat === undefined) return;
    this.chat.attributes["gen_ai.usage.input_tokens"] = usage.inputTokens;
    this.chat.attributes["gen_ai.usage.output_tokens"] = usage.outputTokens;
  }

  spend(cost: number | undefined): void {
    if (cost !== undefined) this.cost = (this.cost ?? 0) + cost;
  }

  closeChat(time: number): void {
    if (this.chat !== undefined) this.chat.endTime = time;
    this.chat = undefined;
    this.silent = false;
  }

  /** Ends what is under way without having ended. */
  lose(time: number, error: string): void {
    fail(this.chat, error, undefined);
    this.closeChat(time);
    for (const span of this.calls.values()) {
      fail(span, error, undefined);
      span.endTime = time;
    }
    this.calls.clear();
  }

  /** Ends everything, and adds up. */
  end(time: number, traceId: string): SpanRecord[] {
    this.closeChat(time);
    this.lose(time, "unknown");
    const { attributes } = this.spans.root;
    attributes["gen_ai.usage.input_tokens"] = this.inputTokens;
    attributes["gen_ai.usage.output_tokens"] = this.outputTokens;
    if (this.unknownRequests > 0) attributes["rubato.usage.unknown_requests"] = this.unknownRequests;
    if (this.cost !== undefined) attributes["rubato.cost"] = this.cost;
    if (this.droppedInputs > 0) attributes["rubato.dropped.inputs"] = this.droppedInputs;
    return this.spans.end(time, traceId);
  }
}

/** The first reason is the one. */
export function fail(span: OpenSpan | undefined, type: string, message: string | undefined): void {
  if (span === undefined || span.error !== undefined) return;
  const short = type.slice(0, MOST_TYPE).toWellFormed();
  span.attributes["error.type"] = short;
  span.error = message ?? short;
}
