import { expect, it } from "vitest";
import { parseEvent } from "rubato/machines";
import { alphabet, eventOf } from "../support/alphabet.ts";

it("I12 keys are data: __proto__ in arguments and metadata survives encode and decode", () => {
  const text = JSON.stringify([
    eventOf({ type: "custom", data: { name: "n", data: JSON.parse('{"__proto__":{"x":1},"constructor":[2]}') } }),
    eventOf({
      type: "run_start",
      data: {
        schema: 1,
        reducer: 1,
        chartHash: "",
        agent: { name: "a", instructions: "", tools: [] },
        model: "m",
        limits: { maxSteps: 1 },
        metadata: JSON.parse('{"__proto__":"kept"}'),
      },
    }),
  ]);
  const parsed: unknown = JSON.parse(text);
  if (!Array.isArray(parsed)) throw new Error("unreachable");
  expect(JSON.stringify(parsed.map((event) => parseEvent(event)))).toBe(text);
  expect("x" in {}).toBe(false);
});

it("what is no JSON is refused by the field's name", () => {
  const [first] = alphabet();
  if (first === undefined) throw new Error("unreachable");
  for (const data of [undefined, 1n, Number.NaN, () => 1, { deep: { f: Symbol("x") } }]) {
    const event = { ...eventOf(first), type: "custom", data: { name: "n", data } };
    expect(() => parseEvent(event)).toThrow(/not JSON/);
  }
  let deep: unknown = 1;
  for (let level = 0; level < 5_000; level++) deep = [deep];
  expect(() => parseEvent({ ...eventOf(first), type: "custom", data: { name: "n", data: deep } })).toThrow(/not JSON/);
});
