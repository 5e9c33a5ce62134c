/** What arithmetic looks like in a sentence, and how the tool wants it. */

const words: readonly (readonly [RegExp, string])[] = [
  [/times|multiplied\s+by|乘以|乘|[×·]/gi, "*"],
  [/divided\s+by|over|除以|÷/gi, "/"],
  [/plus|加上|加/gi, "+"],
  [/minus|减去|减|−/gi, "-"],
  [/to\s+the\s+power\s+of/gi, "^"],
  [/modulo|mod/gi, "%"],
  [/%\s*of/gi, "% *"],
  [/(?<=\d\s*)x(?=\s*\d)/gi, "*"],
  [/\*\*/g, "^"],
  [/π/g, "pi"],
];

const word = String.raw`times|multiplied\s+by|divided\s+by|over|plus|minus|to\s+the\s+power\s+of|modulo|mod|of`;
const functions = String.raw`(?:sqrt|cbrt|abs|ln|log10|log2|log|exp|a?sin|a?cos|a?tan|round|floor|ceil)(?=\s*\()`;

const next = String.raw`(?:(?:and\s+)?\bthen\s+|然后|再|的(?:和|差|积|商|结果))`;
/** Between two steps, the second of which works on what the first gave: `10 minus 3, then times 2`, `10减3再乘2`. */
const step = String.raw`(?:[,，]\s*${next}*|${next}+)(?=\s*(?:[*^×÷]|(?:times|multiplied|divided|plus|minus)\b|乘|除以|加|减))`;

/** A run of numbers, operators (signs and words), steps, functions and parentheses. Any sentence has such runs: see {@link toExpression}. */
export const run = String.raw`(?:\d[\d.]*(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?|[-+*/^×÷−·()!%π]|\b(?:${word}|${functions}|pi)(?![a-z])|(?<=\d\s*)x(?=\s*\d)|乘以|除以|加上|减去|乘|加|减|${step}|\s)+`;

const operation = /[\d)%!i]\s*(?:[-+*/^]|%(?=\s*[\d(]))\s*[-+(]*\s*[\da-z(]|[a-z]\s*\(\s*[-\d]|\d\s*!|\d%\s*\*/;

/** Nothing but dashes, strokes and "x": a telephone number, a range, a score or a size as well as arithmetic. */
const doubtful = /^\s*\+?[-−\d\s.,()/x]*$/i;
const date = /\b\d{4}-\d{1,2}-\d{1,2}\b/;

/**
 * The expression in a run, or undefined when the run is none: no operation (a number, a dash), a date, open parentheses, or a doubtful one
 * that nobody `asked` for.
 */
export function toExpression(text: string, asked: boolean): string | undefined {
  const steps = text.split(new RegExp(step, "giu")).map(signsOf);
  const first = steps.shift() ?? "";
  const expression = steps.reduce((before, after) => {
    const space = /^\S\s/.test(after) ? " " : "";
    return `${operation.test(before) ? `(${before})` : before}${space}${after}`;
  }, first);
  if (date.test(expression) || !operation.test(expression)) return undefined;
  if (!asked && doubtful.test(text)) return undefined;
  const open = expression.split("(").length - expression.split(")").length;
  return open === 0 && expression.length <= 500 ? expression : undefined;
}

function signsOf(text: string): string {
  let expression = text.replaceAll(/(?<=\d),(?=\d{3})/g, "");
  for (const [pattern, sign] of words) expression = expression.replaceAll(pattern, sign);
  return expression.trim().replaceAll(/\s+/g, " ");
}
