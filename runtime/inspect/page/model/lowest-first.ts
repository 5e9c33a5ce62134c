/** Whole numbers of which the lowest is taken first: a binary heap, so that none of them waits for all others. */
export class LowestFirst {
  private readonly heap: number[] = [];

  put(value: number): void {
    const { heap } = this;
    let at = heap.push(value) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const other = heap[above] ?? 0;
      if (other <= value) break;
      heap[at] = other;
      at = above;
    }
    heap[at] = value;
  }

  /** The lowest, which is no longer in it; undefined where there is none. */
  take(): number | undefined {
    const { heap } = this;
    const [lowest] = heap;
    const last = heap.pop();
    if (lowest === undefined || last === undefined || heap.length === 0) return lowest;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      if (left >= heap.length) break;
      const below = (heap[left + 1] ?? Infinity) < (heap[left] ?? Infinity) ? left + 1 : left;
      const other = heap[below] ?? 0;
      if (other >= last) break;
      heap[at] = other;
      at = below;
    }
    heap[at] = last;
    return lowest;
  }
}
