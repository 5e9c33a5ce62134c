import type { Job } from "./io.ts";
import type { Line, OptionName } from "./values.ts";

/** A command over the log. */
export interface LogCommand {
  readonly name: string;
  /** What to type, without the program's name. */
  readonly usage: string;
  /** What it does, in a few words. */
  readonly says: string;
  /** What its options mean, where that is not obvious: option and sentence. */
  readonly details?: readonly (readonly [option: string, meaning: string])[];
  /** Its own options, beside `--log` and `--help`. */
  readonly options: readonly OptionName[];
  /** Reads the words behind its name, or answers one sentence about what is wrong with them. */
  readonly read: (line: Line) => Job | string;
}

/** For a command that takes exactly one run: the word that names it. */
export function onlyRun({ words }: Line, name: string): { readonly run: string } | string {
  const [run, more] = words;
  if (run === undefined || run.trim() === "") return `"${name}" needs a run: rubato ${name} RUN.`;
  if (more !== undefined) return `"${name}" takes one run, got ${JSON.stringify(more)} behind it.`;
  return { run };
}

/** For a command that takes a run and perhaps a text behind it, in one word or several. */
export function onlyRunAndText(
  { words }: Line,
  name: string,
): { readonly run: string; readonly text: string | undefined } | string {
  const [run, ...rest] = words;
  if (run === undefined || run.trim() === "") return `"${name}" needs a run: rubato ${name} RUN.`;
  const text = rest.join(" ").trim();
  return { run, text: text === "" ? undefined : text };
}
