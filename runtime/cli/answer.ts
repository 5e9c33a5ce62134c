import { jsonSchema, type Json } from "../../machines/events.ts";
import { describeFields } from "./describe-call.ts";
import { argumentLines, expose } from "./exposed.ts";
import { oneLine } from "./sanitizer.ts";
import type { ToolCallState } from "../../machines/state.ts";

/** What a person typed about a call that waits. `none`: it is no answer, so nothing may come of it. */
export type Answer =
  | { readonly type: "approve"; readonly forRun: boolean }
  | { readonly type: "reject"; readonly reason: string }
  | { readonly type: "edit" }
  | { readonly type: "none" };

/** Only the letter or the word alone counts as a yes: text that merely begins with it was meant for somebody else. */
export function readAnswer(line: string): Answer {
  const text = line.trim();
  if (/^y(?:es)?$/i.test(text)) return { type: "approve", forRun: false };
  if (/^a(?:ll|lways)?$/i.test(text)) return { type: "approve", forRun: true };
  if (/^e(?:dit)?$/i.test(text)) return { type: "edit" };
  const [, reason] = /^no?(?:\s+([\s\S]+))?$/i.exec(text) ?? [];
  return /^no?(?:\s|$)/i.test(text) ? { type: "reject", reason: reason?.trim() ?? "" } : { type: "none" };
}

/** Asks a person instead of doing something: what is typed is its result. */
export function isQuestion(name: string): boolean {
  return name === "ask_user";
}

/** What an asking call wants to know. */
export interface AskedQuestion {
  readonly question: string;
  readonly options: readonly string[];
}

export function questionOf({ args }: Pick<ToolCallState, "args">): AskedQuestion | undefined {
  if (typeof args !== "object" || args === null || !("question" in args)) return undefined;
  const { question, options } = args;
  if (typeof question !== "string") return undefined;
  const given: readonly Json[] = options !== undefined && options !== null && isList(options) ? options : [];
  return { question, options: given.filter((option) => typeof option === "string") };
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

/** The words that are sent: a number stands for its option. */
export function wordsOf(typed: string, asked: AskedQuestion | undefined): string {
  const text = typed.trim();
  const option = /^\d{1,4}$/.test(text) ? asked?.options[Number(text) - 1] : undefined;
  return option ?? text;
}

/** A call that waits as lines for a person: the first names it, the others are all of its arguments. */
export function pendingLines(call: Pick<ToolCallState, "name" | "callId" | "args">): readonly [string, ...string[]] {
  const asked = isQuestion(call.name) ? questionOf(call) : undefined;
  if (asked === undefined) return [`${oneLine(call.name, 64)} (call ${call.callId})`, ...argumentLines(call.args)];
  const [first = "", ...more] = asked.question.split("\n").map(expose);
  return [first, ...more, ...asked.options.map((option, index) => `${index + 1}. ${expose(option)}`)];
}

/** The same in one line, for lists. */
export function pendingLine({ name, callId, args }: Pick<ToolCallState, "name" | "callId" | "args">): string {
  return oneLine(`${callId} ${oneLine(name, 64)} ${expose(describeFields(args, 160))}`, 160);
}

/** Arguments as a person wrote them, or what is wrong with them. */
export function readArgs(text: string): { readonly args: Json } | { readonly problem: string } {
  try {
    return { args: jsonSchema.parse(JSON.parse(text)) };
  } catch (error) {
    const why = error instanceof SyntaxError ? `: ${oneLine(error.message, 160)}` : "";
    return { problem: `That is no JSON${why}.` };
  }
}
