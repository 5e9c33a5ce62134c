/**
 * How deep a test goes that takes every moment of a run: `npm test` takes a sample of them, `npm run test:full` all. The sample begins elsewhere in each loop
 * that asks, so that together they meet most moments.
 */
const FULL = process.env["MODE"] === "full";
const STRIDE = 3;

let asked = 0;

/** The moments from..to, or one in three of them. */
export function moments(from: number, to: number): number[] {
  const all = Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index);
  if (FULL) return all;
  const offset = asked++ % STRIDE;
  return all.filter((_, index) => index % STRIDE === offset);
}

/** So many runs of a property, or a third of them. */
export function numRuns(count: number): number {
  return FULL ? count : Math.ceil(count / STRIDE);
}
