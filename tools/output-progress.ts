import type { ToolContext } from "./tool.ts";

type Stream = "stdout" | "stderr";

/** Reports what a program writes while it runs: progress `{ stream, text }`. */
export interface OutputProgress {
  add(stream: Stream, chunk: Uint8Array): void;
  /** Reports what is left. The last call: it ends the timer. */
  end(): void;
}

/** A program that writes one byte at a time must not become an event for each. */
const everyMs = 50;

/**
 * @param limit Characters that are reported of each stream; then a line says that there is more.
 * @param failed Called with what `progress` throws, once; after that nothing is reported.
 */
export function reportOutput(
  ctx: Pick<ToolContext, "progress">,
  { limit, failed }: { readonly limit: number; readonly failed: (error: Error) => void },
): OutputProgress {
  const streams = { stdout: decoded(limit), stderr: decoded(limit) };
  let timer: ReturnType<typeof setTimeout> | undefined;
  let broken = false;
  const flush = (last: boolean) => {
    clearTimeout(timer);
    timer = undefined;
    if (broken) return;
    try {
      for (const stream of ["stdout", "stderr"] as const) {
        const text = streams[stream].take(last);
        if (text !== "") ctx.progress({ stream, text });
      }
    } catch (error) {
      broken = true;
      failed(error instanceof Error ? error : new Error("What the program wrote could not be reported."));
    }
  };
  return {
    add(stream, chunk) {
      if (broken || !streams[stream].add(chunk)) return;
      timer ??= setTimeout(flush, everyMs, false);
    },
    end() {
      flush(true);
    },
  };
}

/** The text of a stream, up to a number of characters. A character that comes in two chunks waits for its end. */
function decoded(limit: number) {
  const decoder = new TextDecoder();
  let left = limit;
  let waiting = "";
  const push = (text: string) => {
    waiting += text.length > left ? `${text.slice(0, left).toWellFormed()}\n[more is not shown while it runs]\n` : text;
    left -= Math.min(left + 1, text.length);
  };
  return {
    /** Answers whether there is something to report. */
    add(chunk: Uint8Array): boolean {
      if (left < 0) return false;
      push(decoder.decode(chunk, { stream: true }));
      return waiting !== "";
    },
    take(last: boolean): string {
      if (last && left >= 0) push(decoder.decode());
      const text = waiting;
      waiting = "";
      return text;
    },
  };
}
