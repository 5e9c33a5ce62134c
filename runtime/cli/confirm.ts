import { askLine } from "./ask-line.ts";

/** Asks on stderr, so that stdout stays what was asked for. Everything but a yes is a no. */
export async function confirm(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) return false;
  const answer = await askLine(`${question} [y/N] `, { signal: new AbortController().signal });
  return answer !== undefined && /^y(es)?$/i.test(answer.trim());
}
