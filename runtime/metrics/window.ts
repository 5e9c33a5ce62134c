/** What a figure that slides covers, ms: the last minute, in slots of five seconds of which the newest is not over. */
export const WINDOW_MS = 60_000;
export const SLOT_MS = 5_000;
const SLOTS = WINDOW_MS / SLOT_MS;

/** How much of it there is at this moment: the newest slot is not full. */
export function coveredMs(now: number): number {
  return WINDOW_MS - SLOT_MS + (now % SLOT_MS);
}

/** A sum over the last minute, and since the beginning. Times are those of a monotonic clock, ms. */
export class SlidingCount {
  total = 0;
  private readonly sums = new Float64Array(SLOTS);
  private slot = 0;

  add(now: number, amount: number): void {
    this.total += amount;
    const index = this.turnTo(now) % SLOTS;
    this.sums[index] = (this.sums[index] ?? 0) + amount;
  }

  recent(now: number): number {
    this.turnTo(now);
    return this.sums.reduce((sum, count) => sum + count, 0);
  }

  private turnTo(now: number): number {
    const slot = Math.floor(now / SLOT_MS);
    // One that comes late counts where the newest does.
    if (slot <= this.slot) return this.slot;
    const passed = Math.min(slot - this.slot, SLOTS);
    for (let old = 1; old <= passed; old++) this.sums[(this.slot + old) % SLOTS] = 0;
    if (passed === SLOTS) this.sums.fill(0);
    this.slot = slot;
    return slot;
  }
}

/** Durations of the last minute, ms; `count` and `sum` since the beginning. Zeros where there were none. */
export interface Latency {
  readonly count: number;
  readonly sum: number;
  /** Measured within the last minute. */
  readonly recent: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/** Each is 9 % wider than the one before, from a microsecond to an hour: a quantile is off by less than 5 %. */
const PER_OCTAVE = 8;
const BUCKETS = 256;

/** Durations in buckets, slot by slot: how many there were costs nothing. */
export class SlidingLatency {
  private count = 0;
  private sum = 0;
  private slots: (Slot | undefined)[] = [];

  record(now: number, ms: number): void {
    const took = Math.max(0, ms);
    this.count++;
    this.sum += took;
    const slot = this.slotAt(Math.floor(now / SLOT_MS));
    const bucket = bucketOf(took);
    slot.buckets[bucket] = (slot.buckets[bucket] ?? 0) + 1;
    slot.max = Math.max(slot.max, took);
  }

  read(now: number): Latency {
    const oldest = Math.floor(now / SLOT_MS) - SLOTS + 1;
    const merged = new Uint32Array(BUCKETS);
    let recent = 0;
    let max = 0;
    for (const slot of this.slots) {
      if (slot === undefined || slot.at < oldest) continue;
      max = Math.max(max, slot.max);
      slot.buckets.forEach((count, bucket) => {
        merged[bucket] = (merged[bucket] ?? 0) + count;
        recent += count;
      });
    }
    const quantile = (share: number): number => Math.min(max, quantileOf(merged, recent, share));
    return {
      count: this.count,
      sum: round(this.sum),
      recent,
      p50: round(quantile(0.5)),
      p90: round(quantile(0.9)),
      p99: round(quantile(0.99)),
      max: round(max),
    };
  }

  private slotAt(at: number): Slot {
    const known = this.slots[at % SLOTS];
    if (known !== undefined && known.at >= at) return known;
    const slot = { at, buckets: new Uint32Array(BUCKETS), max: 0 };
    this.slots[at % SLOTS] = slot;
    return slot;
  }
}

interface Slot {
  readonly at: number;
  readonly buckets: Uint32Array;
  max: number;
}

function bucketOf(ms: number): number {
  const octaves = Math.log2(Math.max(1, ms * 1_000));
  return Math.min(BUCKETS - 1, Math.floor(octaves * PER_OCTAVE));
}

/** The middle of the bucket in which so many of them are reached. */
function quantileOf(buckets: Uint32Array, count: number, share: number): number {
  if (count === 0) return 0;
  const wanted = Math.ceil(count * share);
  let seen = 0;
  for (let bucket = 0; bucket < buckets.length; bucket++) {
    seen += buckets[bucket] ?? 0;
    if (seen >= wanted) return 2 ** ((bucket + 0.5) / PER_OCTAVE) / 1_000;
  }
  return 0;
}

/** To a tenth of a microsecond. */
function round(ms: number): number {
  return Math.round(ms * 10_000) / 10_000;
}
