import type { Intent, Unsaid } from "./intent.ts";

export type Groups = Readonly<Record<string, string | undefined>>;

/** What a match asks for, or undefined when it is none after all: then the text stays for the rules that follow. */
export type Read = (groups: Groups) => Intent | readonly Intent[] | undefined;

/** A pattern, tried at every place of the text, and how a match is read. What it matches is taken out of the text. */
export type Row = readonly [string, Read];

/** A request that lacks what it is about: it is asked for. */
export const without =
  (lacks: Unsaid, question: string): Read =>
  () => ({ kind: "ask", question, options: [], lacks });
