/** The middle value: one slow sample on a busy machine does not move it. */
export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** Both sides' percentile in blocks of samples that were taken at the same time: the medians over the blocks, and the median of the ratios within them. */
export interface Blockwise {
  readonly loop: number;
  readonly rubato: number;
  readonly ratio: number;
}

/**
 * Compares the slow samples of two sides that were measured in turn. A percentile near the end of all samples is decided by the few moments in which
 * the machine was busy, and by which side they happened to hit; a block holds both sides of one stretch of time, and such a moment spoils one block.
 */
export function blockwise(loop: readonly number[], rubato: readonly number[], share: number, size: number): Blockwise {
  const blocks: Blockwise[] = [];
  for (let from = 0; from < loop.length; from += size) {
    const ofLoop = percentile(loop.slice(from, from + size), share);
    const ofRubato = percentile(rubato.slice(from, from + size), share);
    blocks.push({ loop: ofLoop, rubato: ofRubato, ratio: ofRubato / ofLoop });
  }
  return {
    loop: median(blocks.map((block) => block.loop)),
    rubato: median(blocks.map((block) => block.rubato)),
    ratio: median(blocks.map((block) => block.ratio)),
  };
}

/** Nearest rank: `percentile(values, 0.99)` is a value that was measured, never one in between. 0 for no values. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const rank = Math.min(sorted.length, Math.max(1, Math.ceil(share * sorted.length)));
  return sorted[rank - 1] ?? 0;
}
