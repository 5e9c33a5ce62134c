import type { Json } from "./events.ts";

/**
 * The canonical bytes of a value: JSON with sorted keys, `undefined` left out. The same value gives the same text in every process.
 */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner !== "object" || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  });
}

/**
 * A 64-bit hash of a text as 16 hex digits (two rounds of a murmur-style mix with different seeds). It finds divergence and damage; it is no
 * protection against somebody who wants to deceive. Pure JavaScript, since this floor also runs in a browser and is synchronous.
 */
export function hashText(text: string, seed = 0): string {
  let high = 0xdeadbeef ^ seed;
  let low = 0x41c6ce57 ^ seed;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    high = Math.imul(high ^ unit, 2654435761);
    low = Math.imul(low ^ unit, 1597334677);
  }
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
  return (high >>> 0).toString(16).padStart(8, "0") + (low >>> 0).toString(16).padStart(8, "0");
}

/** The hash of a JSON value, whatever the order of its keys. */
export function hashJson(value: Json): string {
  return hashText(canonical(value));
}
