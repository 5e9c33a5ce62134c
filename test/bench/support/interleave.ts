import { median } from "./stats.ts";

/** The samples of both sides, in the order in which they were taken. */
export interface Samples {
  readonly loop: readonly number[];
  readonly rubato: readonly number[];
}

export interface InterleaveOptions {
  /** Pairs that count. */
  readonly rounds: number;
  /** Pairs before them that do not: the compiler needs to see the code first. */
  readonly warmup: number;
}

/**
 * Measures both sides in turn, A B B A A B ..., so that whatever else the machine does hits both alike. Each side answers its own figure: what
 * it needs to prepare stays out of it.
 */
export async function interleave(
  { rounds, warmup }: InterleaveOptions,
  loop: () => Promise<number>,
  rubato: () => Promise<number>,
): Promise<Samples> {
  const samples: { loop: number[]; rubato: number[] } = { loop: [], rubato: [] };
  for (let round = -warmup; round < rounds; round++) {
    const order: readonly ("loop" | "rubato")[] = round % 2 === 0 ? ["loop", "rubato"] : ["rubato", "loop"];
    for (const side of order) {
      await turn();
      sweep();
      const figure = await (side === "loop" ? loop() : rubato());
      if (round >= 0) samples[side].push(figure);
    }
  }
  return samples;
}

/**
 * The medians of both sides, and the median of what one was of the other in the same round. A machine may run at one speed for some seconds and at
 * another for the next: the two of a round had the same, the two medians need not.
 */
export function compare({ loop, rubato }: Samples): { loop: number; rubato: number; ratio: number } {
  const ratios = loop.map((figure, round) => (rubato[round] ?? Number.NaN) / figure);
  return { loop: median(loop), rubato: median(rubato), ratio: median(ratios) };
}

/**
 * One side's young garbage is not collected at the other's expense. Only the young: a full collection before every sample also drops the
 * shapes of objects that compiled code relies on, and what is measured then is the compiler (the plain loop became three times as slow).
 * Does nothing without `--expose-gc`.
 */
export function sweep(): void {
  globalThis.gc?.({ type: "minor" });
}

/**
 * Lets the event loop turn. Weak references stay strong until it does: without it the runs of one sample after the other pile up.
 */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Everything that is not live goes, so that what is left can be counted. */
export function collectGarbage(): void {
  globalThis.gc?.();
}

/** Milliseconds that the work took. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}
