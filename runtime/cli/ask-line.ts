import { createInterface } from "node:readline/promises";

/** Asks for one line; `prefill` stands there already, to be edited. */
export type AskLine = (question: string, options: AskOptions) => Promise<string | undefined>;

export interface AskOptions {
  /** Ends the question without an answer. */
  readonly signal: AbortSignal;
  readonly prefill?: string;
}

/** Asks on stderr, so that stdout stays what was asked for. Undefined for Ctrl-C, Ctrl-D, and when the signal aborts. */
export async function askLine(question: string, { signal, prefill = "" }: AskOptions): Promise<string | undefined> {
  const asked = createInterface({ input: process.stdin, output: process.stderr });
  const aborted = new AbortController();
  const abort = (): void => {
    aborted.abort();
  };
  asked.on("SIGINT", abort);
  asked.on("close", abort);
  signal.addEventListener("abort", abort);
  if (signal.aborted) abort();
  try {
    const answered = asked.question(question, { signal: aborted.signal });
    if (prefill !== "") asked.write(prefill);
    return await answered;
  } catch {
    return undefined;
  } finally {
    signal.removeEventListener("abort", abort);
    asked.close();
  }
}
