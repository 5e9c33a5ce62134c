import { canonical } from "../../../../machines/hash.ts";
import type { LogEntry } from "./log-entry.ts";
import type { Recording } from "./recording.ts";

/**
 * Up to where two recordings say the same: the seq of the last line that both have. A fork shares its past with what it was forked from, but for
 * what its own `run_start` says about that, and for ids and times, which are no content.
 */
export function sharedUpTo(one: Recording, other: Recording): number {
  const length = Math.min(one.length, other.length);
  let shared = 0;
  for (let index = 0; index < length; index++) {
    const a = one.entries[index];
    const b = other.entries[index];
    if (a === undefined || b === undefined || !isSame(a, b)) break;
    shared = Math.min(a.seq, b.seq);
  }
  return shared;
}

function isSame(a: LogEntry, b: LogEntry): boolean {
  if (a.type !== b.type || a.seq !== b.seq) return false;
  return a.type === "run_start" || a.data === b.data || canonical(a.data) === canonical(b.data);
}
