import type { ChatModel, ModelChunk } from "rubato";

/** Choices that a seed decides: the same seed gives the same run, so a failure can be replayed. */
export interface Dice {
  /** A whole number from 0 to n - 1. */
  below(n: number): number;
  chance(probability: number): boolean;
  pick<const T>(items: readonly [T, ...T[]]): T;
  /** One of some items, each as often as its weight says. */
  weighted<T>(items: readonly [readonly [number, T], ...(readonly [number, T])[]]): T;
}

/** mulberry32: small, and good enough to reach every branch. */
export function diceOf(seed: number): Dice {
  let state = seed | 0;
  const roll = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (n: number): number => Math.floor(roll() * n);
  return {
    below,
    chance: (probability) => roll() < probability,
    pick: (items) => items[below(items.length)] ?? items[0],
    weighted(items) {
      let left = roll() * items.reduce((sum, [weight]) => sum + weight, 0);
      for (const [weight, item] of items) {
        left -= weight;
        if (left < 0) return item;
      }
      return items[0][1];
    },
  };
}

/** Takes a random one out of what waits. */
export function takeOne<T>(waiting: Set<T>, dice: Dice): T | undefined {
  const taken = [...waiting][dice.below(waiting.size)];
  if (taken !== undefined) waiting.delete(taken);
  return taken;
}

/** A model that says something only when the test lets it, so that every command can fall between any two pieces. */
export interface FuzzModel {
  readonly model: ChatModel;
  /** Answers one piece, whole or broken, to one of those that wait for one: also to a request that was aborted long ago. */
  readonly feed: () => void;
  /** From now on every request is answered at once, so that the run can come to rest. */
  drain(): void;
}

interface Pull {
  readonly answer: (result: IteratorResult<ModelChunk>) => void;
  readonly fail: (error: Error) => void;
  /** The next call's position in this message. */
  readonly nextIndex: () => number;
}

const END: IteratorResult<ModelChunk> = { done: true, value: undefined };
const STOP: IteratorResult<ModelChunk> = { done: false, value: { type: "finish", finish: "stop" } };

export function fuzzModel(dice: Dice, toolNames: readonly [string, ...string[]], name = "fuzz"): FuzzModel {
  const waiting = new Set<Pull>();
  /** The three ways of endpoints to take an abort; the last is one that does not even look at its signal. */
  const onAbort = dice.pick(["end", "throw", "ignore"]);
  let draining = false;

  function stream(signal: () => AbortSignal): AsyncIterable<ModelChunk> {
    let calls = 0;
    let current: Pull | undefined;
    if (onAbort !== "ignore") {
      const stopped = (): void => {
        // One that was answered already settles no second time.
        if (current === undefined || !waiting.delete(current)) return;
        if (onAbort === "end") current.answer(END);
        else current.fail(new Error("the request was aborted"));
      };
      signal().addEventListener("abort", stopped, { once: true });
    }
    const next = (): Promise<IteratorResult<ModelChunk>> => {
      if (draining) return Promise.resolve(STOP);
      return new Promise((answer, fail) => {
        current = { answer, fail, nextIndex: () => calls++ };
        waiting.add(current);
      });
    };
    return { [Symbol.asyncIterator]: () => ({ next, return: () => Promise.resolve(END) }) };
  }

  return {
    model: { name, stream: (_request, options) => stream(() => options.signal) },
    feed() {
      const pull = takeOne(waiting, dice);
      if (pull === undefined) return;
      const say = (value: ModelChunk): void => {
        pull.answer({ done: false, value });
      };
      dice.weighted([
        [97, () => say(chunk(dice, toolNames, pull.nextIndex))],
        [1, () => say(brokenChunk(dice))],
        [1, () => pull.answer(END)],
        [0.5, () => pull.fail(new Error("the model broke"))],
        [1, () => pull.fail(Object.assign(new Error("slow down"), { status: 429 }))],
        [0.5, () => pull.fail(Object.assign(new Error("fetch failed"), { cause: { code: "ECONNRESET" } }))],
      ])();
    },
    drain() {
      draining = true;
      for (const pull of waiting) pull.answer(STOP);
      waiting.clear();
    },
  };
}

/** Keeps to the type, and no further: half characters, calls without a name, arguments that are no JSON, one index twice. */
function chunk(dice: Dice, toolNames: readonly [string, ...string[]], nextIndex: () => number): ModelChunk {
  return dice.weighted<() => ModelChunk>([
    [30, () => ({ type: "text", text: dice.pick(["a ", "bb ", "\ud83d", "\ude00", "", "ccc "]) })],
    [10, () => ({ type: "reasoning", text: dice.pick(["r", "\ud83d", "\ude00"]) })],
    [
      35,
      () => ({
        type: "tool_call",
        index: dice.chance(0.9) ? nextIndex() : dice.below(5),
        ...(dice.chance(0.96) ? { name: dice.pick(toolNames) } : {}),
        ...(dice.chance(0.8) ? { args: dice.pick(["{}", "{}", "{}", "", "", "{", "[]", '{"a":1}', '{"a":1}']) } : {}),
        ...(dice.chance(0.5) ? { id: dice.pick(["", "x", "__proto__"]) } : {}),
      }),
    ],
    [
      25,
      () => ({
        type: "finish",
        finish: dice.pick(["stop", "stop", "tool_calls", "length"]),
        ...(dice.chance(0.5) ? { usage: { inputTokens: 1, outputTokens: 2 } } : {}),
      }),
    ],
  ])();
}

/** What a model that somebody wrote without types may yield. */
function brokenChunk(dice: Dice): ModelChunk {
  const parsed: ModelChunk = JSON.parse(
    dice.pick([
      "null",
      "5",
      "{}",
      '{"type":"image"}',
      '{"type":"text"}',
      '{"type":"text","text":5}',
      '{"type":"reasoning","text":null}',
      '{"type":"tool_call","index":-1,"name":"obeys"}',
      '{"type":"tool_call","index":1.5,"name":"obeys"}',
      '{"type":"tool_call","index":70,"name":"obeys"}',
      '{"type":"tool_call","index":0,"name":5}',
      '{"type":"tool_call","index":0,"name":"obeys","args":{}}',
      '{"type":"finish","finish":"stop","usage":{"inputTokens":-1,"outputTokens":0.5}}',
    ]),
  );
  return parsed;
}
