import type { Writable } from "node:stream";

/** Writes to a stream at the pace of its reader, and notices when nobody reads any more. */
export interface Writer {
  /** Resolves when the stream takes more. Never rejects. */
  write(text: string): Promise<void>;
  /** True when the other side is gone: what is written now reaches nobody. */
  readonly closed: boolean;
  /** Resolves when everything is out, or nobody is there to read it. */
  flush(): Promise<void>;
}

/**
 * Takes care of the stream until the process ends: a broken pipe (`rubato ... | head -1`) is an end, not a crash.
 */
export function createWriter(stream: Writable, onClosed: () => void = () => {}): Writer {
  let closed = false;
  let wake: (() => void) | undefined;
  const close = (): void => {
    if (closed) return;
    closed = true;
    wake?.();
    onClosed();
  };
  stream.on("error", close);
  stream.on("close", close);
  stream.on("drain", () => {
    wake?.();
  });

  return {
    get closed() {
      return closed;
    },
    async write(text) {
      if (closed || text === "" || stream.write(text)) return;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
      wake = undefined;
    },
    flush() {
      if (closed) return Promise.resolve();
      return new Promise((resolve) => {
        wake = resolve;
        stream.write("", () => {
          resolve();
        });
      });
    },
  };
}
