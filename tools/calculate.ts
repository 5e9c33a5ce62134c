import type { MathJsInstance } from "mathjs";
import { z } from "zod";
import { evaluate, precision, show } from "./arithmetic.ts";
import { defineTool } from "./tool.ts";

const maxLength = 500;

/**
 * Tool `calculate`: exact decimal arithmetic (0.1 + 0.2 is 0.3). Answers the result as text: whole numbers in full up to 64 digits, others
 * with at most 32 significant digits. Limits: expressions of 500 characters, numbers (those between included) below 10^1000, and the
 * ranges of the functions, which keep every call within milliseconds. No variables, strings, matrices or units.
 */
export const calculate = defineTool({
  name: "calculate",
  description:
    "Evaluates an arithmetic expression with exact decimals: + - * / ^ % (remainder) !, parentheses, sqrt, cbrt, exp, ln, log(x, base), " +
    "log10, log2, sin, cos, tan, asin, acos, atan (radians), abs, floor, ceil, round(x, places), gcd, min, max, pi, e, tau.",
  input: z.object({
    expression: z.string().min(1).max(maxLength).describe('For example "17 * 23" or "sqrt(2) / 3"'),
  }),
  idempotent: true,
  async execute({ expression }) {
    const math = await loading();
    let node;
    try {
      node = math.parse(plain(expression));
    } catch (error) {
      const why = error instanceof Error ? error.message : "unknown error";
      throw new Error(`The expression cannot be read: ${why}. Write it like 2 * (3 + 4).`, { cause: error });
    }
    try {
      return show(evaluate(math, node));
    } catch (error) {
      if (error instanceof Error && !error.message.startsWith("[DecimalError]")) throw error;
      // No listed range is known to lead here, but a decimal function that throws leaves the precision of its instance changed: the next call takes a fresh one.
      loaded = undefined;
      throw new Error("The numbers are out of the range of this function. Use smaller ones.", { cause: error });
    }
  },
});

let loaded: Promise<MathJsInstance> | undefined;

/** Loaded once: a program that never calculates should not pay for it. A load that failed is tried again by the next calculation. */
function loading(): Promise<MathJsInstance> {
  if (loaded !== undefined) return loaded;
  const attempt = load();
  attempt.catch(() => {
    if (loaded === attempt) loaded = undefined;
  });
  loaded = attempt;
  return attempt;
}

async function load(): Promise<MathJsInstance> {
  const { all = {}, create } = await import("mathjs");
  const math = create(all, { number: "BigNumber", precision });
  // The first expression makes what all others need.
  math.parse("1");
  return math;
}

/**
 * Loads what `calculate` needs, in the background. For a program in which a person may press a key while it calculates for the first time: loading
 * holds the process up for some 500 ms.
 */
export function preloadCalculate(): void {
  // Whoever calculates is told.
  loading().catch(() => {});
}

/** What people and models write instead of the parser's own signs. A sign of equality at the end only asks for the result. */
function plain(expression: string): string {
  return expression
    .replaceAll(/[×·✕]/g, "*")
    .replaceAll("÷", "/")
    .replaceAll(/[−–]/g, "-")
    .replaceAll("**", "^")
    .replace(/[\s=?]+$/, "");
}
