import { createInterface } from "node:readline/promises";

/** Asks on stderr, so that stdout stays what was asked for. Everything but a yes is a no. */
export async function confirm(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) return false;
  const asked = createInterface({ input: process.stdin, output: process.stderr });
  const aborted = new AbortController();
  asked.on("SIGINT", () => {
    aborted.abort();
  });
  // Ctrl-D ends the input without an answer.
  asked.on("close", () => {
    aborted.abort();
  });
  try {
    const answer = await asked.question(`${question} [y/N] `, { signal: aborted.signal });
    return /^y(es)?$/i.test(answer.trim());
  } catch {
    return false;
  } finally {
    asked.close();
  }
}
