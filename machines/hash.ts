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
 * A running 64-bit hash (two lanes of a murmur-style mix with different seeds). It finds divergence and damage; it is no protection against
 * somebody who wants to deceive. Pure JavaScript, since this floor also runs in a browser and is synchronous.
 */
export interface Hash {
  readonly high: number;
  readonly low: number;
}

export const EMPTY_HASH: Hash = { high: 0xdeadbeef, low: 0x41c6ce57 };

/** The hash after some more texts, each with its length, so that `ab, c` and `a, bc` differ. */
export function hashOn({ high, low }: Hash, ...texts: readonly string[]): Hash {
  let h = high;
  let l = low;
  for (const text of texts) {
    h = Math.imul(h ^ text.length, 2654435761);
    l = Math.imul(l ^ text.length, 1597334677);
    for (let index = 0; index < text.length; index++) {
      const unit = text.charCodeAt(index);
      h = Math.imul(h ^ unit, 2654435761);
      l = Math.imul(l ^ unit, 1597334677);
    }
  }
  h = Math.imul(h ^ (h >>> 16), 2246822507) ^ Math.imul(l ^ (l >>> 13), 3266489909);
  l = Math.imul(l ^ (l >>> 16), 2246822507) ^ Math.imul(h ^ (h >>> 13), 3266489909);
  return { high: h, low: l };
}

/** A hash as 16 hex digits. */
export function hexOf({ high, low }: Hash): string {
  return (high >>> 0).toString(16).padStart(8, "0") + (low >>> 0).toString(16).padStart(8, "0");
}

export function hashText(text: string): string {
  return hexOf(hashOn(EMPTY_HASH, text));
}

/** The hash of a JSON value, whatever the order of its keys. */
export function hashJson(value: Json): string {
  return hashText(canonical(value));
}
