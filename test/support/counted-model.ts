import type { ChatModel, Gate, ModelChunk } from "rubato";

export interface CountedModel extends ChatModel {
  /** How many pieces were asked for. */
  readonly pulls: number;
  /** Streams that were left before their end. */
  readonly closed: number;
}

export interface CountedOptions {
  /** Lets the event loop turn after so many tokens. */
  readonly every?: number;
  /** Before the first token. */
  readonly gate?: Gate;
}

/** Streams so many tokens of 6 characters as fast as they are read, and counts how often it is. */
export function countedModel(tokens: number, options: CountedOptions = {}): CountedModel {
  const { every = Number.POSITIVE_INFINITY, gate } = options;
  let pulls = 0;
  let closed = 0;
  return {
    name: "counted",
    get pulls() {
      return pulls;
    },
    get closed() {
      return closed;
    },
    stream(_request, { signal }) {
      let at = 0;
      let over = false;
      const next = (): IteratorResult<ModelChunk> => {
        at++;
        if (over || at > tokens + 1) return { done: true, value: undefined };
        if (at > tokens) return { done: false, value: { type: "finish", finish: "stop" } };
        return { done: false, value: { type: "text", text: String(at).padStart(6, " ") } };
      };
      return {
        [Symbol.asyncIterator]: () => ({
          async next() {
            pulls++;
            if (at === 0) await gate?.pass(signal);
            if (pulls % every !== 0) return next();
            return new Promise((resolve) => {
              setImmediate(() => {
                resolve(next());
              });
            });
          },
          return() {
            over = true;
            closed++;
            return Promise.resolve({ done: true, value: undefined });
          },
        }),
      };
    },
  };
}
