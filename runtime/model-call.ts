import type { Draft, EventData, EventOf } from "../machines/events.ts";
import type { PartialAnswer } from "../machines/state.ts";
import { MAX_ARGS_LENGTH, MAX_CALLS } from "./arguments.ts";
import type { Clock } from "./clock.ts";
import type { Price } from "../machines/limits.ts";
import { costOf } from "../machines/limits.ts";
import { RubatoError } from "./errors.ts";
import type { Head } from "./head.ts";
import { LazySignal } from "./lazy-signal.ts";
import { failureDrafts, spentOn } from "./model-failure.ts";
import type { ModelWatch, Watched } from "./model-watch.ts";
import type { RetryPolicy } from "./retry.ts";
import type { Tasks } from "./tasks.ts";
import type { ChatModel, ModelChunk, ModelRequest, Usage } from "./models/chat-model.ts";
import type { Valve } from "./valve.ts";

/**
 * One request to a model: reads its stream and turns every piece into an event.
 *
 * M1 Ends in exactly one way: a message, an error, or `abort()`. After that nothing the stream yields counts (R4), and the stream is closed.
 * M2 A request that takes too long is over as one that failed, at once: its stream is told to stop and not waited for (P31).
 * M3 `abort()` does not wait for the model: the socket is closed by the signal, the reading by the next piece or the end.
 */
export interface ModelCall {
  abort(): void;
}

export interface ModelCallOptions {
  readonly head: Head;
  readonly clock: Clock;
  /** Closed while a subscriber asks that the model is not read. */
  readonly valve: Valve;
  /** Left when the stream is closed, which may be some time after `abort()`. */
  readonly tasks: Pick<Tasks, "leave">;
  readonly watch: ModelWatch;
  readonly retry: RetryPolicy;
  /** In the order in which they are asked: the first, and the next where one fails for good. */
  readonly models: readonly ChatModel[];
}

/** What one request is about. The options are those of the run. */
export interface Asked {
  readonly model: ChatModel;
  /** Of this model, where the program gave one. */
  readonly price: Price | undefined;
  readonly thinking: EventOf<"thinking">;
}

export function callModel(options: ModelCallOptions, asked: Asked, request: ModelRequest): ModelCall {
  const call = new Reading(options, asked);
  call.begin(request);
  return call;
}

/** A class, so that a request makes one object and not a dozen closures. */
class Reading implements ModelCall, Watched {
  // In this order they lie in memory: what every token needs comes first, and is looked up in no other object.
  private over = false;
  paused = false;
  signs = 0;
  private iterator: AsyncIterator<ModelChunk> | undefined;
  private readonly head: Head;
  private readonly valve: Valve;
  private readonly answering: EventData<"thinking">;
  /** Half a character at the end of the last piece. */
  private textHalf = "";
  private textLength: number;
  private reasoningHalf = "";
  private reasoningLength = 0;
  private readonly options: ModelCallOptions;
  private readonly asked: Asked;
  private readonly signal = new LazySignal();
  /** Set while it is held up. */
  private unhold: (() => void) | undefined;
  private argsLength: number[] | undefined;

  constructor(options: ModelCallOptions, asked: Asked) {
    this.options = options;
    this.asked = asked;
    this.head = options.head;
    this.valve = options.valve;
    this.answering = asked.thinking.data;
    this.textLength = options.head.state.partial?.text.length ?? 0;
  }

  begin(request: ModelRequest): void {
    this.options.watch.begin(this);
    try {
      this.iterator = iteratorOf(this.asked.model.stream(request, this.signal));
    } catch (error) {
      this.fail(error);
      this.options.tasks.leave();
      return;
    }
    this.pull();
  }

  abort(): void {
    this.end();
    this.stop();
  }

  expire(error: RubatoError): void {
    if (this.over) return;
    this.fail(error);
    this.stop();
  }

  private stop(): void {
    LazySignal.abort(this.signal);
    // Held up, it reads no further piece in which it would notice.
    this.unhold?.();
    if (this.unhold !== undefined) this.close();
    this.unhold = undefined;
  }

  /** M1: from here on nothing counts. */
  private end(): void {
    this.over = true;
    this.options.watch.end(this);
  }

  // What `for await` does, by hand: with the same two callbacks for every piece, where an `await` makes two closures and a context for each.

  private pull(): void {
    try {
      Promise.resolve(this.iterator?.next()).then(this.onPiece, this.onError);
    } catch (error) {
      this.onError(error);
    }
  }

  private readonly onPiece = (piece: IteratorResult<ModelChunk, unknown> | undefined): void => {
    try {
      // Somebody else's iterator may answer anything.
      if (typeof piece !== "object" || piece === null) throw badChunk(piece);
      if (piece.done === true) {
        if (!this.over) this.fail(this.truncated());
        this.options.tasks.leave();
        return;
      }
      this.signs++;
      if (!this.over) this.take(piece.value);
    } catch (error) {
      this.onError(error);
      return;
    }
    if (!this.over && this.valve.closed) this.waitForReaders();
    else this.goOn();
  };

  private goOn(): void {
    if (this.over) this.close();
    else if (this.head.crowded) this.waitForLog();
    else this.pull();
  }

  /** The model is read no faster than a subscriber that chose `block` takes what it says. */
  private waitForReaders(): void {
    this.paused = true;
    this.unhold = this.valve.wait(() => {
      this.paused = false;
      this.signs++;
      this.unhold = undefined;
      this.goOn();
    });
  }

  /** The model is read no faster than the log takes what it says. */
  private waitForLog(): void {
    const { head } = this;
    this.paused = true;
    head.durable(head.nextSeq - 1).then(() => {
      this.paused = false;
      this.signs++;
      if (this.over) this.close();
      else this.pull();
    }, this.onError);
  }

  /** The stream threw: it is closed already. */
  private readonly onError = (error: unknown): void => {
    if (!this.over) this.fail(error);
    this.options.tasks.leave();
  };

  /** Leaves a stream that has not ended. How long it takes to close, and what it throws then, is of no interest to the run. */
  private close(): void {
    const { tasks } = this.options;
    const leave = (): void => {
      tasks.leave();
    };
    try {
      const closing = this.iterator?.return?.();
      if (closing === undefined) leave();
      else Promise.resolve(closing).then(leave, leave);
    } catch {
      leave();
    }
  }

  private take(chunk: ModelChunk): void {
    try {
      switch (chunk.type) {
        case "text":
        case "reasoning":
          this.token(chunk.type, chunk.text);
          return;
        case "tool_call":
          this.toolCall(chunk);
          return;
        case "finish":
          this.answer(chunk.finish, chunk.usage);
          return;
        default:
          throw badChunk(chunk);
      }
    } catch (error) {
      // At once and not when the stream is closed, which may take for ever.
      this.fail(error);
    }
  }

  private token(kind: "text" | "reasoning", piece: string): void {
    const text = this.wholeCharacters(kind, piece);
    if (text === "") return;
    const offset = kind === "text" ? this.textLength : this.reasoningLength;
    if (!this.head.token(this.answering, kind, text, offset)) this.end();
    else if (kind === "text") this.textLength += text.length;
    else this.reasoningLength += text.length;
  }

  /** A pair of surrogates that was split between two pieces is put together; half a one that stays alone is replaced. */
  private wholeCharacters(kind: "text" | "reasoning", piece: string): string {
    const half = kind === "text" ? this.textHalf : this.reasoningHalf;
    const text = half === "" ? piece : half + piece;
    const last = text.charCodeAt(text.length - 1);
    const split = last >= 0xd800 && last <= 0xdbff;
    if (split || half !== "") this.keepHalf(kind, split ? text.slice(-1) : "");
    const whole = split ? text.slice(0, -1) : text;
    return whole.isWellFormed() ? whole : whole.toWellFormed();
  }

  private keepHalf(kind: "text" | "reasoning", half: string): void {
    if (kind === "text") this.textHalf = half;
    else this.reasoningHalf = half;
  }

  private toolCall({ index, id, name, args = "" }: Extract<ModelChunk, { type: "tool_call" }>): void {
    if (!Number.isInteger(index) || index < 0 || typeof (name ?? "") !== "string" || typeof args !== "string") {
      throw badChunk({ index, name, args });
    }
    if (index >= MAX_CALLS) {
      throw new RubatoError("model", `The model asked for more than ${MAX_CALLS} tool calls in one message.`);
    }
    this.argsLength ??= [];
    const length = (this.argsLength[index] ?? 0) + args.length;
    this.argsLength[index] = length;
    if (length > MAX_ARGS_LENGTH) {
      throw new RubatoError(
        "model",
        `The model streamed more than ${MAX_ARGS_LENGTH} characters of arguments for one call.`,
      );
    }
    const { messageId, attempt, step } = this.answering;
    const callId = `${step}.${index}`;
    const { head } = this;
    const told = head.delta({
      seq: head.nextSeq,
      timestamp: this.options.clock.now(),
      runId: head.runId,
      type: "tool_call_delta",
      data:
        id !== undefined && name !== undefined
          ? { messageId, attempt, index, callId, providerCallId: id, name, args }
          : {
              messageId,
              attempt,
              index,
              callId,
              ...(id === undefined ? {} : { providerCallId: id }),
              ...(name === undefined ? {} : { name }),
              args,
            },
    });
    if (!told) this.end();
  }

  private answer(finish: "stop" | "tool_calls" | "length", usage: Usage | undefined): void {
    this.flushHalves();
    const { partial } = this.head.state;
    this.end();
    if (partial === undefined) return;
    // Reading a character makes one flat string of the many pieces: the log then keeps the text and not the pieces.
    partial.text.charCodeAt(0);
    const calls = partial.calls.map(({ callId, providerCallId, name, args }) => ({
      callId,
      providerCallId,
      name,
      args,
    }));
    const ended = finish === "length" ? "length" : calls.length > 0 ? "tool_calls" : "stop";
    this.head.record(
      [this.message(partial, ended, calls, isUsage(usage) ? usage : "unknown")],
      this.asked.thinking.seq,
    );
  }

  private message(
    { text, reasoning }: PartialAnswer,
    finish: EventData<"message">["finish"],
    calls: EventData<"message">["calls"],
    usage: EventData<"message">["usage"],
  ): Draft {
    const { messageId, attempt, step } = this.answering;
    const data: EventData<"message"> =
      reasoning === ""
        ? { messageId, step, attempt, finish, text, calls, usage }
        : { messageId, step, attempt, finish, text, reasoning, calls, usage };
    return { type: "message", data: this.priced(data) };
  }

  /** What it cost, where the program gave prices; what it may have used, where nobody told and somebody counts. */
  private priced(data: EventData<"message">): EventData<"message"> {
    const { price } = this.asked;
    if (data.usage !== "unknown") return price === undefined ? data : { ...data, cost: costOf(data.usage, price) };
    const { state } = this.head;
    return price === undefined && state.core.control.limits === undefined
      ? data
      : { ...data, ...spentOn(state, price) };
  }

  /** A half character that no other half followed. */
  private flushHalves(): void {
    for (const kind of KINDS) {
      if ((kind === "text" ? this.textHalf : this.reasoningHalf) === "") continue;
      this.keepHalf(kind, "");
      this.token(kind, "\uFFFD");
    }
  }

  private fail(error: unknown): void {
    this.flushHalves();
    this.end();
    const { clock, retry, models } = this.options;
    const { thinking, price } = this.asked;
    const { state, runId } = this.head;
    const drafts = failureDrafts(error, { state, runId, thinking, clock, retry, models: models.length, price });
    this.head.record(drafts, thinking.seq);
  }

  private truncated(): RubatoError {
    const { name } = this.asked.model;
    return new RubatoError("truncated", `The answer of "${name}" ended without saying that it was complete.`);
  }
}

const KINDS = ["reasoning", "text"] as const;

/** A model written without types may answer a synchronous iterable, as `for await` takes it too. */
function iteratorOf(stream: AsyncIterable<ModelChunk>): AsyncIterator<ModelChunk> {
  const asynchronous = typeof stream[Symbol.asyncIterator] === "function";
  return (asynchronous ? stream : relay(stream))[Symbol.asyncIterator]();
}

async function* relay(stream: AsyncIterable<ModelChunk>): AsyncGenerator<ModelChunk> {
  for await (const chunk of stream) yield chunk;
}

/** A model of somebody's own that breaks its contract: what cannot be recorded must not be. */
function badChunk(chunk: unknown): RubatoError {
  return new RubatoError("model", `The model yielded what is no ModelChunk: ${JSON.stringify(chunk)?.slice(0, 200)}.`);
}

function isUsage(usage: Usage | undefined): usage is Usage {
  return isTokenCount(usage?.inputTokens) && isTokenCount(usage?.outputTokens);
}

function isTokenCount(value: unknown): boolean {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
