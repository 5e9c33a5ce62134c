/**
 * Hands out the items of a stream of batches one by one. What a batch still holds is answered without another turn through the generators that
 * made it: with hundreds of tokens in one piece of an answer, these turns would cost more than the tokens.
 *
 * After an abort what is left of a batch is dropped; how the stream ends then is for the generator to say.
 */
export function oneByOne<T extends object>(
  batches: AsyncGenerator<readonly T[], void, undefined>,
  stop: { readonly aborted: boolean },
): AsyncIterableIterator<T> {
  return new Items(batches, stop);
}

class Items<T extends object> implements AsyncIterableIterator<T> {
  private batch: readonly T[] = [];
  private at = 0;
  private pulling: Promise<IteratorResult<T>> | undefined;
  private readonly batches: AsyncGenerator<readonly T[], void, undefined>;
  private readonly stop: { readonly aborted: boolean };

  constructor(batches: AsyncGenerator<readonly T[], void, undefined>, stop: { readonly aborted: boolean }) {
    this.batches = batches;
    this.stop = stop;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<T>> {
    if (this.pulling !== undefined) {
      // Asked again before the answer: its turn comes after that, whatever the answer is.
      const again = (): Promise<IteratorResult<T>> => this.next();
      return this.pulling.then(again, again);
    }
    const value = this.take();
    if (value !== undefined) return Promise.resolve({ done: false, value });
    this.pulling = this.pull();
    return this.pulling;
  }

  async return(): Promise<IteratorResult<T>> {
    this.batch = [];
    await this.batches.return();
    return { done: true, value: undefined };
  }

  private take(): T | undefined {
    const value = this.stop.aborted ? undefined : this.batch[this.at];
    if (value !== undefined) this.at++;
    return value;
  }

  private async pull(): Promise<IteratorResult<T>> {
    try {
      for (;;) {
        const { done, value } = await this.batches.next();
        if (done === true) return { done, value: undefined };
        this.batch = value;
        this.at = 0;
        const first = this.take();
        if (first !== undefined) return { done: false, value: first };
      }
    } finally {
      this.pulling = undefined;
    }
  }
}
