/** What arithmetic looks like in a sentence, and how the tool wants it. */

const words: readonly (readonly [RegExp, string])[] = [
  [/times|multiplied\s+by|乘以|乘|[×·]/gi, "*"],
  [/divided\s+by|over|除以|÷/gi, "/"],
  [/plus|加上|加/gi, "+"],
  [/minus|减去|减|−/gi, "-"],
  [/to\s+the\s+power\s+of/gi, "^"],
  [/modulo|mod/gi, "%"],
  [/%\s*of/gi, "% *"],
  [/\*\*/g, "^"],
  [/π/g, "pi"],
];

const word = String.raw`times|multiplied\s+by|divided\s+by|over|plus|minus|to\s+the\s+power\s+of|modulo|mod|of`;
const functions = String.raw`(?:sqrt|cbrt|abs|ln|log10|log2|log|exp|a?sin|a?cos|a?tan|round|floor|ceil)(?=\s*\()`;

/** A run of numbers, operators (signs and words), functions and parentheses. Any sentence has such runs: see {@link toExpression}. */
export const run = String.raw`(?:\d[\d.]*(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?|[-+*/^×÷−·()!%π]|\b(?:${word}|${functions}|pi)(?![a-z])|乘以|除以|加上|减去|乘|加|减|\s)+`;

const operation = /[\d)%!i]\s*(?:[-+*/^]|%(?=\s*[\d(]))\s*[-+(]*\s*[\da-z(]|[a-z]\s*\(\s*[-\d]|\d\s*!|\d%\s*\*/;

/** The expression in a run, or undefined when the run is none: no operation (a number, a dash), a date, open parentheses. */
export function toExpression(text: string): string | undefined {
  let expression = text.replaceAll(/(?<=\d),(?=\d{3})/g, "");
  for (const [pattern, sign] of words) expression = expression.replaceAll(pattern, sign);
  expression = expression.trim().replaceAll(/\s+/g, " ");
  if (/^\d{4}-\d{1,2}-\d{1,2}$/.test(expression) || !operation.test(expression)) return undefined;
  const open = expression.split("(").length - expression.split(")").length;
  return open === 0 && expression.length <= 500 ? expression : undefined;
}
