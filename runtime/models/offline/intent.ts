/** What the offline model can be asked for. A closed list: whatever is not one of these is `unknown`. */
export type Intent =
  | { readonly kind: "count"; readonly path: string; readonly type?: string }
  | { readonly kind: "list"; readonly path: string; readonly type?: string; readonly recursive?: true }
  | { readonly kind: "read"; readonly path: string }
  | { readonly kind: "search"; readonly query: string; readonly path: string }
  | { readonly kind: "calculate"; readonly expression: string }
  | { readonly kind: "time"; readonly zone?: string }
  | { readonly kind: "wait"; readonly seconds: number }
  | { readonly kind: "run"; readonly command: string; readonly args: readonly string[] }
  | { readonly kind: "save"; readonly path: string; readonly content: string; readonly overwrite: boolean }
  | { readonly kind: "fetch"; readonly url: string }
  /** A question to the person. `lacks`: what is done with the answer. */
  | { readonly kind: "ask"; readonly question: string; readonly options: readonly string[]; readonly lacks?: Unsaid }
  /** Without a topic: about nothing in particular. */
  | { readonly kind: "write"; readonly topic?: string }
  /** What was forbidden: the words, and what they would have asked for. */
  | { readonly kind: "leave"; readonly text: string; readonly intents: readonly Intent[] }
  | { readonly kind: "greet" }
  | { readonly kind: "thanks" }
  | { readonly kind: "help" }
  | { readonly kind: "unknown"; readonly text: string };

/** A request that lacks what it is about. */
export type Unsaid = "read" | "run" | "fetch";

/** The intents that are answered with a tool's result. */
export type ToolIntent = Exclude<
  Intent,
  { readonly kind: "write" | "leave" | "greet" | "thanks" | "help" | "unknown" }
>;

export type Language = "en" | "zh";

/** A path, an address or a number in a text tells nothing of its language. */
const names = /[\w@~-]*(?:[./]+[\w@~:-]+)+\/?/g;

/** The language of a text, or undefined when it has none (`17*23`). */
export function languageOf(text: string): Language | undefined {
  const { han, words } = wordsIn(text.replaceAll(names, " "));
  if (han + words > 0) return han >= words ? "zh" : "en";
  if (/[，。？！；：（）]/.test(text)) return "zh";
  return wordsIn(text).words > 0 ? "en" : undefined;
}

function wordsIn(text: string): { readonly han: number; readonly words: number } {
  return { han: text.match(/\p{Script=Han}/gu)?.length ?? 0, words: text.match(/[A-Za-z]+/g)?.length ?? 0 };
}
