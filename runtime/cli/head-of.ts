import type { Json } from "../../machines/events.ts";

/**
 * A copy of a value whose JSON begins with the same `units` UTF-16 units and is not much longer: for whoever shows only that much of it. What is
 * nested deeper than the stack goes throws a RangeError, as `JSON.stringify` does.
 */
export function headOf(value: Json, units: number): Json;
export function headOf(value: unknown, units: number): unknown;
export function headOf(value: unknown, units: number): unknown {
  let left = units;
  return copy(value);

  function copy(inner: unknown): unknown {
    left -= 2;
    if (typeof inner === "string") {
      const head = inner.length <= left ? inner : inner.slice(0, Math.max(0, left));
      left -= head.length;
      return head;
    }
    if (typeof inner !== "object" || inner === null) return inner;
    if (Array.isArray(inner)) {
      const items: unknown[] = [];
      for (const item of inner) {
        if (left <= 0) break;
        items.push(copy(item));
      }
      return items;
    }
    const fields: [key: string, field: unknown][] = [];
    for (const key in inner) {
      if (left <= 0) break;
      if (!Object.hasOwn(inner, key)) continue;
      left -= key.length;
      fields.push([key.length <= units ? key : key.slice(0, units), copy(Reflect.get(inner, key))]);
    }
    // Not by assignment: a key may be `__proto__`.
    return Object.fromEntries(fields);
  }
}
