import type { LogEntry } from "./log-entry.ts";

/** What somebody looks for. Empty: everything. */
export interface Query {
  readonly text: string;
  /** Types that are shown; empty: all. */
  readonly types: ReadonlySet<string>;
}

export const EVERYTHING: Query = { text: "", types: new Set() };

export function isEverything({ text, types }: Query): boolean {
  return text.trim() === "" && types.size === 0;
}

/** Whether a line is what somebody looks for: its type, and the text somewhere in its values or its type. Case says nothing. */
export function matcherOf({ text, types }: Query): (entry: LogEntry) => boolean {
  const wanted = text.trim().toLowerCase();
  return (entry) => {
    if (types.size > 0 && !types.has(entry.type)) return false;
    return wanted === "" || entry.type.includes(wanted) || holds(entry.data, wanted, 0);
  };
}

/** Far below where the stack ends: a file may nest as deep as its reader lets it. */
const DEEPEST = 64;

function holds(value: unknown, wanted: string, depth: number): boolean {
  if (typeof value === "string") return value.toLowerCase().includes(wanted);
  if (typeof value === "number") return String(value) === wanted;
  if (typeof value !== "object" || value === null || depth > DEEPEST) return false;
  for (const inner of Object.values(value)) if (holds(inner, wanted, depth + 1)) return true;
  return false;
}
