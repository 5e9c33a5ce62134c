import { assert, object, property } from "fast-check";
import { describe, expect, it } from "vitest";
import { toJson } from "../../runtime/arguments.ts";

/** What the value is once it was written and read again: plain data is copied without that, and must come out the same. */
function overText(value: unknown): unknown {
  const read: unknown = JSON.parse(JSON.stringify(value) ?? "null");
  return read;
}

class Point {
  readonly x = 1;
  get y(): number {
    return 2;
  }
}

const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);

describe("toJson is what JSON makes of a value", () => {
  it.each<[string, unknown]>([
    ["numbers that JSON has not", { a: NaN, b: Infinity, c: -0, d: [NaN, -0] }],
    ["undefined in an object and in a list", { a: undefined, b: [undefined, 1] }],
    ["holes", { list: Array.from({ length: 3 }) }],
    ["functions and symbols", { f: () => 1, s: Symbol("s"), list: [() => 1] }],
    ["dates and other toJSON", { at: new Date(0), own: { toJSON: () => "mine" }, list: [new Date(1)] }],
    ["maps, sets, boxes", { map: new Map([[1, 2]]), set: new Set([1]), boxed: Object("text") }],
    ["instances and objects without a prototype", { point: new Point(), bare: Object.create(null) }],
    ["a key named __proto__", JSON.parse('{"a":{"__proto__":{"b":1}}}')],
    ["keys in the order of JSON", { b: 1, 2: 2, a: 3, 1: 4 }],
    ["half a character", { text: "\ud800", "\udc00": 1 }],
    ["as deep as it may be", nested(64)],
  ])("%s", (_what, value) => {
    expect(JSON.stringify(toJson(value))).toBe(JSON.stringify(overText(value)));
    expect(toJson(value)).toEqual(overText(value));
  });

  it("for any value that has a text", () => {
    assert(
      property(object({ withDate: true, withMap: true, withNullPrototype: true, withSparseArray: true }), (value) => {
        expect(JSON.stringify(toJson(value))).toBe(JSON.stringify(overText(value)));
      }),
    );
  });

  it("answers a copy that shares nothing", () => {
    const value = { list: [{ a: 1 }] };
    const copy = toJson(value);
    value.list.push({ a: 2 });
    expect(copy).toEqual({ list: [{ a: 1 }] });
  });

  it.each<[string, () => unknown, RegExp]>([
    ["a cycle", () => cycle(), /circular/i],
    ["more than 64 levels", () => nested(65), /deeper than 64/],
    ["a BigInt", () => ({ big: 1n }), /BigInt/],
    [
      "a getter that throws",
      () => ({
        get a(): never {
          throw new Error("not now");
        },
      }),
      /not now/,
    ],
  ])("%s is refused", (_what, make, message) => {
    expect(() => toJson(make())).toThrow(message);
  });
});

function cycle(): unknown {
  const list: unknown[] = [];
  list.push({ list });
  return list;
}
