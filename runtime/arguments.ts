import type { Json } from "../machines/events.ts";

/** Nesting that arguments and tool outputs may have: `JSON.stringify` overflows the stack near 4,000. */
const MAX_DEPTH = 64;
/** Size of one call's arguments, in UTF-16 units (1 MiB of ASCII). */
export const MAX_ARGS_LENGTH = 1_048_576;
/** Tool calls in one message. */
export const MAX_CALLS = 64;

export type ParsedArgs = { readonly ok: true; readonly args: Json } | { readonly ok: false; readonly message: string };

/** Parses a complete call's arguments. Limits are checked before anything looks inside. A call without arguments means an empty object. */
export function parseArgs(text: string): ParsedArgs {
  if (text.trim() === "") return { ok: true, args: {} };
  if (text.length > MAX_ARGS_LENGTH) {
    return { ok: false, message: `The arguments are longer than ${MAX_ARGS_LENGTH} characters. Send less at a time.` };
  }
  if (textDepth(text) > MAX_DEPTH) {
    return { ok: false, message: `The arguments are nested deeper than ${MAX_DEPTH} levels. Flatten them.` };
  }
  try {
    const args: Json = JSON.parse(text);
    return typeof args === "object" && args !== null && !Array.isArray(args)
      ? { ok: true, args }
      : { ok: false, message: "The arguments must be a JSON object." };
  } catch (error) {
    const why = error instanceof Error ? error.message : "unreadable";
    return { ok: false, message: `The arguments are not valid JSON (${why}). Call again with a complete JSON object.` };
  }
}

/**
 * A value as plain JSON of its own, so that nobody can change it afterwards. Throws an error whose message says what does not fit: BigInt,
 * cycles, more than 64 levels.
 */
export function toJson(value: unknown): Json {
  if (value === undefined || value === null) return null;
  if (typeof value === "string") return value.toWellFormed();
  if (typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  const plain = plainCopy(value);
  if (plain !== undefined) return plain;
  const text = stringify(value);
  if (text === undefined) throw new TypeError(`a ${typeof value} is not JSON`);
  if (textDepth(text) > MAX_DEPTH) throw new TypeError(`it is nested deeper than ${MAX_DEPTH} levels`);
  const copy: Json = JSON.parse(text);
  return copy;
}

/** The copy of plain data without the way over its text, which takes many times as long. `undefined`: not plain, the text decides. */
function plainCopy(value: unknown): Json | undefined {
  try {
    return copyOf(value, 1);
  } catch {
    return undefined;
  }
}

function copyOf(value: unknown, depth: number): Json | undefined {
  if (typeof value === "string" || typeof value === "boolean" || value === null) return value;
  // Minus zero is written as zero.
  if (typeof value === "number") return Number.isFinite(value) ? value + 0 : null;
  if (typeof value !== "object" || depth > MAX_DEPTH || "toJSON" in value) return undefined;
  if (Array.isArray(value)) return copyOfList(value, depth);
  return isPlain(value) ? copyOfObject(value, depth) : undefined;
}

function isPlain(value: object): value is Readonly<Record<string, unknown>> {
  return Object.getPrototypeOf(value) === Object.prototype;
}

function copyOfList(list: readonly unknown[], depth: number): Json | undefined {
  const copy: Json[] = [];
  for (const item of list) {
    const itemCopy = copyOf(item, depth + 1);
    if (itemCopy === undefined) return undefined;
    copy.push(itemCopy);
  }
  return copy;
}

function copyOfObject(value: Readonly<Record<string, unknown>>, depth: number): Json | undefined {
  const copy: Record<string, Json> = {};
  for (const key of Object.keys(value)) {
    const item = value[key];
    if (item === undefined) continue;
    const itemCopy = copyOf(item, depth + 1);
    if (itemCopy === undefined || key === "__proto__") return undefined;
    copy[key] = itemCopy;
  }
  return copy;
}

function stringify(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch (error) {
    // The engine draws a cycle over several lines; the first says it all.
    const [line] = (error instanceof Error ? error.message : "it cannot be written").split("\n");
    throw new TypeError(line, { cause: error });
  }
}

/** How deep a JSON text nests, without parsing it. */
function textDepth(text: string): number {
  let depth = 0;
  let deepest = 0;
  let quoted = false;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (quoted) {
      if (unit === 92) index++;
      else if (unit === 34) quoted = false;
    } else if (unit === 34) quoted = true;
    else if (unit === 123 || unit === 91) deepest = Math.max(deepest, ++depth);
    else if (unit === 125 || unit === 93) depth--;
  }
  return deepest;
}
