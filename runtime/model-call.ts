import type { Draft, EventOf } from "../machines/events.ts";
import { MAX_ARGS_LENGTH, MAX_CALLS } from "./arguments.ts";
import type { Clock } from "./clock.ts";
import { messageOf, RubatoError } from "./errors.ts";
import type { Head } from "./head.ts";
import { LazySignal } from "./lazy-signal.ts";
import type { ChatModel, ModelChunk, ModelRequest, Usage } from "./models/chat-model.ts";

/**
 * One request to a model: reads its stream and turns every piece into an event.
 *
 * M1 Ends in exactly one way: a message, an error, or `abort()`. After that nothing the stream yields counts (R4), and the stream is closed.
 * M2 `abort()` does not wait for the model: the socket is closed by the signal, the reading by the next piece or the end.
 */
export interface ModelCall {
  abort(): void;
  /** Resolves when the stream is closed, which may be some time after `abort()`. Never rejects. */
  readonly over: Promise<void>;
}

export interface ModelCallOptions {
  readonly head: Head;
  readonly clock: Clock;
  readonly model: ChatModel;
  readonly request: ModelRequest;
  readonly thinking: EventOf<"thinking">;
  /** Called when the stream is closed. */
  readonly leave: () => void;
}

export function callModel(options: ModelCallOptions): ModelCall {
  const { head, clock, model, request, thinking } = options;
  const { messageId, attempt, step } = thinking.data;
  const { runId } = head;
  let over = false;
  let textLength = head.state.partial?.text.length ?? 0;
  let reasoningLength = 0;
  const halves = { text: "", reasoning: "" };
  const argsLength = new Map<number, number>();

  const streamOptions = new LazySignal();

  function token(kind: "text" | "reasoning", piece: string): void {
    const text = wholeCharacters(kind, piece);
    if (text === "") return;
    const offset = kind === "text" ? textLength : reasoningLength;
    const told = head.delta({
      seq: head.nextSeq,
      timestamp: clock.now(),
      runId,
      type: "token_stream",
      data: { kind, text, messageId, attempt, offset },
    });
    if (!told) over = true;
    else if (kind === "text") textLength += text.length;
    else reasoningLength += text.length;
  }

  /** A pair of surrogates that was split between two pieces is put together; half a one that stays alone is replaced. */
  function wholeCharacters(kind: "text" | "reasoning", piece: string): string {
    const text = halves[kind] === "" ? piece : halves[kind] + piece;
    const last = text.charCodeAt(text.length - 1);
    const split = last >= 0xd800 && last <= 0xdbff;
    halves[kind] = split ? text.slice(-1) : "";
    const whole = split ? text.slice(0, -1) : text;
    return whole.isWellFormed() ? whole : whole.toWellFormed();
  }

  function toolCall({ index, id, name, args = "" }: Extract<ModelChunk, { type: "tool_call" }>): void {
    if (!Number.isInteger(index) || index < 0 || typeof (name ?? "") !== "string" || typeof args !== "string") {
      throw badChunk({ index, name, args });
    }
    if (index >= MAX_CALLS) {
      throw new RubatoError("model", `The model asked for more than ${MAX_CALLS} tool calls in one message.`);
    }
    const length = (argsLength.get(index) ?? 0) + args.length;
    argsLength.set(index, length);
    if (length > MAX_ARGS_LENGTH) {
      throw new RubatoError(
        "model",
        `The model streamed more than ${MAX_ARGS_LENGTH} characters of arguments for one call.`,
      );
    }
    const told = head.delta({
      seq: head.nextSeq,
      timestamp: clock.now(),
      runId,
      type: "tool_call_delta",
      data: {
        messageId,
        attempt,
        index,
        callId: `${step}.${index}`,
        ...(id === undefined ? {} : { providerCallId: id }),
        ...(name === undefined ? {} : { name }),
        args,
      },
    });
    if (!told) over = true;
  }

  function answer(finish: "stop" | "tool_calls" | "length", usage: Usage | undefined): void {
    flushHalves();
    const partial = head.state.partial;
    over = true;
    if (partial === undefined) return;
    // Reading a character makes one flat string of the many pieces: the log then keeps the text and not the pieces.
    partial.text.charCodeAt(0);
    const calls = partial.calls.map(({ callId, providerCallId, name, args }) => ({
      callId,
      providerCallId,
      name,
      args,
    }));
    head.record([
      {
        type: "message",
        data: {
          messageId,
          step,
          attempt,
          finish: finish === "length" ? "length" : calls.length > 0 ? "tool_calls" : "stop",
          text: partial.text,
          ...(partial.reasoning === "" ? {} : { reasoning: partial.reasoning }),
          calls,
          usage: isUsage(usage) ? usage : "unknown",
        },
        cause: thinking.seq,
      },
    ]);
  }

  /** A half character that no other half followed. */
  function flushHalves(): void {
    for (const kind of ["reasoning", "text"] as const) {
      if (halves[kind] === "") continue;
      halves[kind] = "";
      token(kind, "\uFFFD");
    }
  }

  function fail(error: unknown): void {
    flushHalves();
    over = true;
    const partial = head.state.partial;
    const drafts: Draft[] = [];
    if (partial !== undefined && partial.text !== "") {
      drafts.push({
        type: "message",
        data: {
          messageId,
          step,
          attempt,
          finish: "truncated",
          text: partial.text,
          ...(partial.reasoning === "" ? {} : { reasoning: partial.reasoning }),
          calls: [],
          usage: "unknown",
        },
      });
    }
    drafts.push({
      type: "error",
      data: {
        source: "model",
        code: error instanceof RubatoError ? error.code : "model",
        severity: "high",
        retryable: false,
        message: messageOf(error),
      },
    });
    head.record(drafts, thinking.seq);
  }

  function take(chunk: ModelChunk): void {
    switch (chunk.type) {
      case "text":
      case "reasoning":
        token(chunk.type, chunk.text);
        return;
      case "tool_call":
        toolCall(chunk);
        return;
      case "finish":
        answer(chunk.finish, chunk.usage);
        return;
      default:
        throw badChunk(chunk);
    }
  }

  async function read(): Promise<void> {
    try {
      for await (const chunk of model.stream(request, streamOptions)) {
        if (over) return;
        try {
          take(chunk);
        } catch (error) {
          // Here and not below: leaving the loop first waits for the model to close its stream, which may take for ever.
          fail(error);
        }
        if (over) return;
        // The model is read no faster than the log takes what it says.
        if (head.crowded) await head.durable(head.nextSeq - 1);
      }
      if (!over)
        fail(new RubatoError("truncated", `The answer of "${model.name}" ended without saying that it was complete.`));
    } catch (error) {
      if (!over) fail(error);
    } finally {
      options.leave();
    }
  }

  return {
    over: read(),
    abort() {
      over = true;
      LazySignal.abort(streamOptions);
    },
  };
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
