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

/** A hash in the making, changed in place: a long conversation has several texts per message, and an object for each would be most of the work. */
export class Mixer {
  private high: number;
  private low: number;

  constructor({ high, low }: Hash) {
    this.high = high;
    this.low = low;
  }

  /** One more text, with its length, so that `ab, c` and `a, bc` differ. */
  add(text: string): void {
    const { length } = text;
    let h = Math.imul(this.high ^ length, 2654435761);
    let l = Math.imul(this.low ^ length, 1597334677);
    for (let index = 0; index < length; index++) {
      const unit = text.charCodeAt(index);
      h = Math.imul(h ^ unit, 2654435761);
      l = Math.imul(l ^ unit, 1597334677);
    }
    this.high = h;
    this.low = l;
  }

  /** The end of texts that belong together. */
  close(): void {
    const { high, low } = this;
    const h = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
    this.high = h;
    this.low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(h ^ (h >>> 13), 3266489909);
  }

  hash(): Hash {
    return { high: this.high, low: this.low };
  }
}

/** A hash as 16 hex digits. */
export function hexOf({ high, low }: Hash): string {
  return (high >>> 0).toString(16).padStart(8, "0") + (low >>> 0).toString(16).padStart(8, "0");
}

export function hashText(text: string): string {
  const mixer = new Mixer(EMPTY_HASH);
  mixer.add(text);
  mixer.close();
  return hexOf(mixer.hash());
}
