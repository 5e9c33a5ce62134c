import { withoutCaller } from "../../../../machines/caller.ts";
import { canonical } from "../../../../machines/hash.ts";
import type { LogEntry } from "./log-entry.ts";
import type { Recording } from "./recording.ts";

/**
 * Up to where two recordings say the same: the seq of the last line that both have. A fork shares its past with what it was forked from, but for
 * what its own `run_start` says about that, and for ids, times and whose trace something came from, which are no content.
 */
export function sharedUpTo(one: Recording, other: Recording): number {
  const known = compared.get(one);
  const at = known?.other === other ? known : { other, index: 0, shared: 0, part: false };
  compared.set(one, at);
  const length = Math.min(one.dropped + one.length, other.dropped + other.length);
  // By their place in the log: of a run that goes on the first lines may be gone, and what was not compared by then counts as the same.
  at.index = Math.max(at.index, one.dropped, other.dropped);
  for (; at.index < length && !at.part; at.index++) {
    const a = one.entries[at.index - one.dropped];
    const b = other.entries[at.index - other.dropped];
    at.part = a === undefined || b === undefined || !isSame(a, b);
    if (!at.part) at.shared = Math.min(a?.seq ?? 0, b?.seq ?? 0);
  }
  return at.shared;
}

/** How far two were compared: it is asked for at every drawing, and recordings only grow. */
interface Compared {
  readonly other: Recording;
  index: number;
  shared: number;
  part: boolean;
}

const compared = new WeakMap<Recording, Compared>();

function isSame(a: LogEntry, b: LogEntry): boolean {
  if (a.type !== b.type || a.seq !== b.seq) return false;
  return a.type === "run_start" || a.data === b.data || said(a) === said(b);
}

/** A copy names nobody's trace. */
function said({ type, data }: LogEntry): string {
  return canonical(CALLED.has(type) ? withoutCaller(data) : data);
}

const CALLED: ReadonlySet<string> = new Set(["owner", "user_input", "resume", "approval"]);
