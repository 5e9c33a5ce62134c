import type { ModelChunk } from "../chat-model.ts";
import type { Call } from "./calls.ts";

/** Characters of arguments in one chunk: small enough that a call takes several. */
const fragment = 8;

/** A text in pieces of about a word; Chinese in pieces of two characters. Put together they are the text again. */
export function wordsOf(text: string): string[] {
  return text.match(/\s*(?:\p{Script=Han}{1,2}[，。、；：！？”）]*|[^\s\p{Script=Han}]+)|\s+$/gu) ?? [];
}

/** The chunks of parallel calls: first the head of each, then their arguments in turns. */
export function chunksOf(calls: readonly Call[], idOf: (index: number) => string): ModelChunk[] {
  const chunks = calls.map(({ name }, index): ModelChunk => ({ type: "tool_call", index, id: idOf(index), name }));
  const longest = Math.max(0, ...calls.map(({ args }) => args.length));
  for (let start = 0; start < longest; start += fragment) {
    for (const [index, { args }] of calls.entries()) {
      const part = args.slice(start, start + fragment);
      if (part !== "") chunks.push({ type: "tool_call", index, args: part });
    }
  }
  return chunks;
}
