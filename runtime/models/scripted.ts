import { RubatoError } from "../errors.ts";
import type { ChatModel, ModelChunk, ModelRequest, Usage } from "./chat-model.ts";

/**
 * A place in a script where the stream waits until the test lets it go on, so that a test decides about order and needs no timer.
 * Once open it stays open.
 */
export interface Gate {
  readonly type: "gate";
  readonly name: string;
  /** Resolves when a stream has arrived here. */
  readonly reached: Promise<void>;
  /** Lets the stream go on. Also in advance. */
  open(): void;
  /** For those who play a script: resolves when the gate is open or the signal aborts. */
  pass(signal: AbortSignal): Promise<void>;
}

/** A call that the scripted model asks for. */
export interface ScriptedCall {
  readonly name: string;
  /** An object, or JSON text as it is, which may be invalid. Default `{}`. */
  readonly args?: string | Readonly<Record<string, unknown>>;
  /** The provider's id. Default `call_` and the position. May repeat or be empty. */
  readonly id?: string;
}

/** The short form of an answer. Reasoning, text and calls stream in this order. */
export interface ScriptedAnswer {
  readonly reasoning?: string;
  readonly text?: string;
  readonly calls?: readonly ScriptedCall[];
  /** Default: `tool_calls` when there was a call, else `stop`. */
  readonly finish?: "stop" | "tool_calls" | "length";
  readonly usage?: Usage;
  /** Throws this after what stands before it. A string becomes a {@link RubatoError} with code `model`. */
  readonly error?: Error | string;
  /** Ends without `finish` after what stands before it. */
  readonly end?: "truncated";
}

export type ScriptPart = string | ModelChunk | Gate | ScriptedAnswer;

/**
 * The answer to one request: a text, an answer in short form, or a list of parts, among them chunks as they are and gates.
 * The `finish` is added at the end unless a part brings its own, throws, or says `{ end: "truncated" }`.
 */
export type ScriptStep = ScriptPart | readonly ScriptPart[];

/** One step per request, or a function that makes the step. `index` counts the requests from 0. */
export type Script<Request = ModelRequest> = readonly ScriptStep[] | ((request: Request, index: number) => ScriptStep);

export interface ScriptedModel extends ChatModel {
  /** Every request that was made, in order. */
  readonly requests: readonly ModelRequest[];
}

/**
 * A model for tests that answers from a script. Streams without timers: tokens come as fast as they are read, and a {@link pause} holds them.
 * After an abort it ends quietly. A request after the last step throws a {@link RubatoError} with code `invalid_input` into the stream.
 */
export function scriptedModel(script: Script, options: { readonly name?: string } = {}): ScriptedModel {
  const requests: ModelRequest[] = [];
  return {
    name: options.name ?? "scripted",
    requests,
    stream(request, { signal }) {
      return play(() => {
        const index = requests.push(request) - 1;
        return stepAt(script, request, index);
      }, signal);
    },
  };
}

/** A gate for a script, see {@link Gate}. The name is for whoever reads the test. */
export function pause(name = "pause"): Gate {
  const waiting = new Set<() => void>();
  let opened = false;
  let arrive = (): void => {};
  const reached = new Promise<void>((resolve) => {
    arrive = resolve;
  });
  return {
    type: "gate",
    name,
    reached,
    open() {
      opened = true;
      for (const settle of waiting) settle();
    },
    pass(signal) {
      arrive();
      if (opened || signal.aborted) return Promise.resolve();
      return new Promise((resolve) => {
        const settle = (): void => {
          signal.removeEventListener("abort", settle);
          waiting.delete(settle);
          resolve();
        };
        signal.addEventListener("abort", settle);
        waiting.add(settle);
      });
    },
  };
}

/**
 * The chunks of parallel tool calls, interleaved as endpoints stream them: first the head of every call, then one fragment of each in turn.
 *
 * @param options `fragment`: characters of arguments per chunk, from 1, default all at once. `from`: the position of the first call, default 0.
 */
export function toolCalls(
  calls: readonly ScriptedCall[],
  options: { readonly fragment?: number; readonly from?: number } = {},
): ModelChunk[] {
  const { fragment = Number.MAX_SAFE_INTEGER, from = 0 } = options;
  if (!Number.isSafeInteger(fragment) || fragment < 1) {
    throw new RubatoError("invalid_option", `toolCalls: fragment must be a whole number from 1, got ${fragment}.`);
  }
  const texts = calls.map(({ args = {} }) => (typeof args === "string" ? args : JSON.stringify(args)));
  const chunks = calls.map(({ name, id }, at): ModelChunk => {
    const index = from + at;
    return { type: "tool_call", index, id: id ?? `call_${index}`, name };
  });
  const longest = Math.max(0, ...texts.map((text) => text.length));
  for (let start = 0; start < longest; start += fragment) {
    for (const [at, text] of texts.entries()) {
      if (start < text.length)
        chunks.push({ type: "tool_call", index: from + at, args: text.slice(start, start + fragment) });
    }
  }
  return chunks;
}

/**
 * The step for a request.
 *
 * @throws RubatoError `invalid_input` when the script has no further step.
 */
export function stepAt<Request>(script: Script<Request>, request: Request, index: number): ScriptStep {
  if (typeof script === "function") return script(request, index);
  const step = script[index];
  if (step !== undefined) return step;
  throw new RubatoError(
    "invalid_input",
    `The script has ${script.length} ${script.length === 1 ? "step" : "steps"} and got request ${index + 1}: add a step, or find out why the model is asked again.`,
  );
}

/** What a script comes down to. */
type Played = ModelChunk | Gate | { readonly type: "throw"; readonly error: Error };

const ENDED: IteratorReturnResult<undefined> = { done: true, value: undefined };

/**
 * Plays one step. `begin` is called at the first `next()`. Written as an iterator by hand, since a generator would add three promises to
 * every token, and benchmarks run on this model.
 */
export function play(begin: () => ScriptStep, signal: AbortSignal): AsyncIterableIterator<ModelChunk, undefined> {
  let parts: readonly Played[] | undefined;
  let at = 0;
  let over = false;
  const pull = (): Promise<IteratorResult<ModelChunk, undefined>> => {
    if (over || signal.aborted) return Promise.resolve(ENDED);
    if (parts === undefined) {
      try {
        parts = compile(begin());
      } catch (error) {
        over = true;
        return Promise.reject(error instanceof Error ? error : new RubatoError("invalid_input", "The script threw."));
      }
    }
    const part = parts[at];
    at += 1;
    if (part === undefined) return Promise.resolve(ENDED);
    if (part.type === "gate") return part.pass(signal).then(pull);
    if (part.type === "throw") {
      over = true;
      return Promise.reject(part.error);
    }
    return Promise.resolve({ done: false, value: part });
  };
  return {
    next: pull,
    return() {
      over = true;
      return Promise.resolve(ENDED);
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

function compile(step: ScriptStep): Played[] {
  const played: Played[] = [];
  let calls = 0;
  let finish: ScriptedAnswer["finish"];
  let usage: Usage | undefined;
  let closed = false;
  for (const part of isList(step) ? step : [step]) {
    if (typeof part === "string") {
      pushText(part, played);
    } else if (typeof part !== "object" || part === null) {
      throw new RubatoError("invalid_input", `A step of a script cannot be ${String(part)}: see ScriptStep.`);
    } else if ("type" in part) {
      played.push(part);
      if (part.type === "finish") closed = true;
      if (part.type === "tool_call") calls = Math.max(calls, part.index + 1);
    } else {
      if (part.reasoning !== undefined) played.push({ type: "reasoning", text: part.reasoning });
      if (part.text !== undefined) pushText(part.text, played);
      if (part.calls !== undefined) {
        played.push(...toolCalls(part.calls, { from: calls }));
        calls += part.calls.length;
      }
      finish = part.finish ?? finish;
      usage = part.usage ?? usage;
      const { error } = part;
      if (error !== undefined) {
        played.push({ type: "throw", error: typeof error === "string" ? new RubatoError("model", error) : error });
        return played;
      }
      if (part.end === "truncated") return played;
    }
  }
  if (closed) return played;
  finish ??= calls > 0 ? "tool_calls" : "stop";
  played.push(usage === undefined ? { type: "finish", finish } : { type: "finish", finish, usage });
  return played;
}

/** Word by word, each with the space before it: about what a model's tokens look like. */
function pushText(text: string, played: Played[]): void {
  for (const piece of text.match(/\s*\S+|\s+$/g) ?? []) played.push({ type: "text", text: piece });
}

function isList(step: ScriptStep): step is readonly ScriptPart[] {
  return Array.isArray(step);
}
