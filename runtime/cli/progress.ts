import type { Io } from "./io.ts";

/** A bar on the terminal at stderr; nothing where there is none. */
export interface Progress {
  show(done: number): Promise<void>;
  /** Takes the bar away. */
  end(): Promise<void>;
}

/** Work that is over sooner needs no bar, ms. */
const PATIENCE_MS = 300;
const FRAME_MS = 100;
const BAR = 24;

export function createProgress(
  { err, errColumns, now }: Pick<Io, "err" | "errColumns" | "now">,
  what: string,
  total: number,
): Progress {
  if (errColumns === undefined || total === 0) return { show: async () => {}, end: async () => {} };
  const columns = errColumns;
  let next = now() + PATIENCE_MS;
  let shown = false;
  return {
    async show(done) {
      const at = now();
      if (at < next) return;
      next = at + FRAME_MS;
      shown = true;
      await err.write(`\r\u001b[2K${bar(what, done, total).slice(0, columns - 1)}`);
    },
    async end() {
      if (shown) await err.write("\r\u001b[2K");
      shown = false;
    },
  };
}

/** `verifying [######------------------]  25 %`. */
export function bar(what: string, done: number, total: number): string {
  const part = Math.max(0, Math.min(1, done / total));
  const full = Math.round(part * BAR);
  return `${what} [${"#".repeat(full)}${"-".repeat(BAR - full)}] ${String(Math.floor(part * 100)).padStart(3)} %`;
}
