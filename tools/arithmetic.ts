import type { BigNumber, MathJsInstance, MathNode } from "mathjs";

/**
 * Evaluates what the expression parser of mathjs has parsed, by a short list of what may stand in it.
 *
 * mathjs can evaluate by itself, but its language is a programming language (functions, matrices, units, `import`), and with decimals some
 * of its functions do not end (`tanh(1e900)`, `20000000!`). Hence: only numbers, named constants, operators and the functions below, each
 * with the range in which it ends within milliseconds. What is not listed does not exist.
 */

/** Digits that are carried. Results are shown with fewer, so that the rounding of the last ones does not show. */
export const precision = 64;
const shownDigits = 32;
/** Every number, those between included, lies below 10^1000. One closer to 0 than 10^-1000 counts as 0. */
const maxExponent = 1000;

interface Operation {
  /** The fewest and the most arguments. */
  readonly arity: readonly [number, number];
  /** Largest absolute value of an argument, where the general limit is too wide. */
  readonly max?: number;
  /** Answers NaN where there is no real result. */
  apply(a: BigNumber, b: BigNumber, all: readonly BigNumber[]): BigNumber;
}

const one: Operation["arity"] = [1, 1];
const two: Operation["arity"] = [2, 2];
const many: Operation["arity"] = [1, 100];
/** `e^x` stays below 10^1000. */
const maxPower = 2302;
/** Beyond this the digits that are carried begin to say little about the place on the circle. */
const maxAngle = 1e15;

/** By name, for calls and operators alike. A Map, because names such as `constructor` are data. */
const operations: ReadonlyMap<string, Operation> = new Map<string, Operation>([
  ["unaryMinus", { arity: one, apply: (a) => a.neg() }],
  ["unaryPlus", { arity: one, apply: (a) => a }],
  ["add", { arity: two, apply: (a, b) => a.plus(b) }],
  ["subtract", { arity: two, apply: (a, b) => a.minus(b) }],
  ["multiply", { arity: two, apply: (a, b) => a.times(b) }],
  ["divide", { arity: two, apply: (a, b) => a.div(divisor(b)) }],
  ["mod", { arity: two, apply: modulo }],
  ["pow", { arity: two, apply: power }],
  ["factorial", { arity: one, max: 449, apply: factorial }],
  ["abs", { arity: one, apply: (a) => a.abs() }],
  ["sqrt", { arity: one, apply: (a) => a.sqrt() }],
  ["cbrt", { arity: one, apply: (a) => a.cbrt() }],
  ["exp", { arity: one, max: maxPower, apply: (a) => a.exp() }],
  ["ln", { arity: one, apply: (a) => positive(a).ln() }],
  // log(x) is the natural logarithm, as in most programming languages; log(x, base) is any other.
  [
    "log",
    { arity: [1, 2], apply: (a, b, all) => (all.length === 1 ? positive(a).ln() : positive(a).log(positive(b))) },
  ],
  ["log10", { arity: one, apply: (a) => positive(a).log(10) }],
  ["log2", { arity: one, apply: (a) => positive(a).log(2) }],
  ["sin", { arity: one, max: maxAngle, apply: (a) => a.sin() }],
  ["cos", { arity: one, max: maxAngle, apply: (a) => a.cos() }],
  ["tan", { arity: one, max: maxAngle, apply: (a) => a.tan() }],
  ["asin", { arity: one, max: 1, apply: (a) => a.asin() }],
  ["acos", { arity: one, max: 1, apply: (a) => a.acos() }],
  ["atan", { arity: one, max: maxAngle, apply: (a) => a.atan() }],
  ["floor", { arity: one, apply: (a) => a.floor() }],
  ["ceil", { arity: one, apply: (a) => a.ceil() }],
  ["round", { arity: [1, 2], apply: round }],
  ["gcd", { arity: two, apply: gcd }],
  ["min", { arity: many, apply: (a, _b, all) => all.reduce((best, next) => (next.lt(best) ? next : best), a) }],
  ["max", { arity: many, apply: (a, _b, all) => all.reduce((best, next) => (next.gt(best) ? next : best), a) }],
]);

/**
 * The value of a parsed expression.
 * @throws {Error} One sentence: something that is not arithmetic, a wrong argument, or a number out of range.
 */
export function evaluate(math: MathJsInstance, node: MathNode): BigNumber {
  if (math.isParenthesisNode(node)) return evaluate(math, node.content);
  if (math.isConstantNode(node)) return literal(math, node.value);
  if (math.isSymbolNode(node)) return constant(math, node.name);
  if (math.isOperatorNode(node)) return apply(math, node.fn, node.op, node.args);
  if (math.isFunctionNode(node) && math.isSymbolNode(node.fn)) {
    return apply(math, node.fn.name, node.fn.name, node.args);
  }
  throw notArithmetic();
}

/** The result as text: whole numbers in full up to 64 digits, others with at most 32 significant digits. */
export function show(value: BigNumber): string {
  const shown = value.isInteger() ? value : value.toSignificantDigits(shownDigits);
  if (shown.isZero()) return "0";
  const digits = value.isInteger() ? precision : shownDigits;
  return shown.e >= digits || shown.e < -shownDigits ? shown.toExponential() : shown.toFixed();
}

function apply(math: MathJsInstance, name: string, shown: string, nodes: readonly MathNode[]): BigNumber {
  const operation = operations.get(name);
  if (operation === undefined) {
    throw new Error(`"${shown.slice(0, 40)}" is not known here. Known: + - * / ^ % !, ${functionNames()}, pi, e, tau.`);
  }
  const [fewest, most] = operation.arity;
  if (nodes.length < fewest || nodes.length > most) {
    const wanted = fewest === most ? `${fewest}` : `${fewest} to ${most}`;
    throw new Error(`"${shown}" takes ${wanted} argument(s), not ${nodes.length}.`);
  }
  const args = nodes.map((node) => evaluate(math, node));
  for (const arg of args) {
    if (operation.max !== undefined && arg.abs().gt(operation.max)) {
      throw new Error(`"${shown}" takes numbers up to ${operation.max} here. Use a smaller one.`);
    }
  }
  const zero = math.bignumber(0);
  const result = operation.apply(args[0] ?? zero, args[1] ?? zero, args);
  if (result.isNaN()) throw new Error(`"${shown}" has no real result for these numbers.`);
  return inRange(result);
}

/** The parser makes decimals of what is written, and a plain number of the 100 in a percentage. */
function literal(math: MathJsInstance, value: unknown): BigNumber {
  if (math.isBigNumber(value)) return inRange(value);
  if (typeof value === "number" && Number.isFinite(value)) return inRange(math.bignumber(value));
  throw notArithmetic();
}

function notArithmetic(): Error {
  return new Error("Only arithmetic is understood here: numbers, operators, functions such as sqrt(2), pi and e.");
}

function functionNames(): string {
  const symbols = new Set(["unaryMinus", "unaryPlus", "add", "subtract", "multiply", "divide", "mod", "pow"]);
  return [...operations.keys()].filter((name) => !symbols.has(name)).join(", ");
}

function constant(math: MathJsInstance, name: string): BigNumber {
  switch (name) {
    case "pi":
      return math.bignumber(-1).acos();
    case "tau":
      return math.bignumber(-1).acos().times(2);
    case "e":
      return math.bignumber(1).exp();
    default:
      throw new Error(`"${name.slice(0, 40)}" has no value here. Known names: pi, e, tau.`);
  }
}

function inRange(value: BigNumber): BigNumber {
  if (!value.isFinite() || value.e >= maxExponent) {
    throw new Error("The numbers become too large: the limit is 10^1000. Use smaller ones.");
  }
  return value.e < -maxExponent ? value.times(0) : value;
}

function divisor(value: BigNumber): BigNumber {
  if (value.isZero()) throw new Error("Division by zero has no result. Change the divisor.");
  return value;
}

function positive(value: BigNumber): BigNumber {
  if (!value.gt(0)) throw new Error("A logarithm needs numbers above 0.");
  return value;
}

function whole(value: BigNumber, name: string): BigNumber {
  if (!value.isInteger()) throw new Error(`"${name}" needs whole numbers.`);
  return value;
}

/** The remainder with the sign of the divisor, so that -7 % 3 is 2. */
function modulo(a: BigNumber, b: BigNumber): BigNumber {
  const rest = a.mod(divisor(b));
  return !rest.isZero() && rest.isNegative() !== b.isNegative() ? rest.plus(b) : rest;
}

/** Needs no look ahead: a power of decimals is cut to their precision, and one out of range ends as infinity or 0 at once. */
function power(base: BigNumber, exponent: BigNumber): BigNumber {
  return (base.isZero() && exponent.isNegative() ? divisor(base) : base).pow(exponent);
}

function factorial(value: BigNumber): BigNumber {
  if (whole(value, "factorial").isNegative()) throw new Error('"factorial" needs a number from 0 on.');
  let result = value.times(0).plus(1);
  for (let factor = 2; factor <= value.toNumber(); factor++) result = result.times(factor);
  return result;
}

function round(value: BigNumber, places: BigNumber): BigNumber {
  const count = whole(places, "round").toNumber();
  if (count < 0 || count > precision) throw new Error(`"round" takes 0 to ${precision} places.`);
  return value.toDecimalPlaces(count);
}

function gcd(a: BigNumber, b: BigNumber): BigNumber {
  let [left, right] = [whole(a, "gcd").abs(), whole(b, "gcd").abs()];
  while (!right.isZero()) [left, right] = [right, left.mod(right)];
  return left;
}
