import { describe, expect, it } from "vitest";
import { createAgent, type ChatModel, type ModelChunk } from "rubato";

const ANSWER: readonly ModelChunk[] = [
  { type: "text", text: "all " },
  { type: "text", text: "well" },
  { type: "finish", finish: "stop" },
];

/** A model whose stream is what somebody wrote without types: anything that has an iterator. */
function answering(stream: () => object): ChatModel {
  const made: object = { name: "own", stream };
  if (!isModel(made)) throw new TypeError("unreachable");
  return made;
}

function isModel(value: object): value is ChatModel {
  return "stream" in value && typeof value.stream === "function";
}

function settled(stream: () => object) {
  return createAgent({ name: "a", model: answering(stream) })
    .run("go")
    .settled();
}

/** An iterator of its own making: `next` answers these one after the other. */
function stepping(answers: readonly unknown[], more: object = {}) {
  const left = [...answers];
  return { [Symbol.asyncIterator]: () => ({ next: () => left.shift(), ...more }) };
}

const pieces = ANSWER.map((value) => ({ done: false, value }));

describe("the stream of a model may be any iterable that `for await` takes", () => {
  it.each<[string, () => object]>([
    ["an asynchronous generator", () => generated()],
    ["a list", () => ANSWER],
    ["a list of promises", () => ANSWER.map((chunk) => Promise.resolve(chunk))],
    ["an iterator that answers without promises", () => stepping(pieces)],
    ["one whose return throws", () => stepping(pieces, { return: () => thrown("return") })],
    ["one whose return rejects", () => stepping(pieces, { return: () => Promise.reject(new Error("return")) })],
  ])("%s", async (_what, stream) => {
    expect(await settled(stream)).toMatchObject({ status: "done", output: "all well" });
  });

  it.each<[string, () => object, RegExp]>([
    ["nothing to iterate", () => ({}), /iterable/],
    ["a `next` that throws", () => stepping([], { next: () => thrown("next broke") }), /next broke/],
    ["a `next` that rejects", () => stepping([Promise.reject(new Error("next failed"))]), /next failed/],
    ["a `next` that answers nothing", () => stepping([undefined]), /ModelChunk|undefined/],
    ["a chunk that is none", () => stepping([{ done: false, value: null }]), /null|ModelChunk/],
    ["no finish", () => stepping([pieces[0], { done: true, value: undefined }]), /ended without saying/],
  ])("%s fails the turn", async (_what, stream, message) => {
    const outcome = await settled(stream);
    expect(outcome.status).toBe("failed");
    expect(outcome.error?.message).toMatch(message);
  });

  it("is closed once, when the answer is complete", async () => {
    let closed = 0;
    const count = { return: () => Promise.resolve({ done: true, value: closed++ }) };
    await settled(() => stepping(pieces, count));
    expect(closed).toBe(1);
  });
});

async function* generated(): AsyncGenerator<ModelChunk> {
  yield* ANSWER;
}

function thrown(message: string): never {
  throw new Error(message);
}
