import { typesOf } from "../pattern.ts";
import { isRefusal, refuse, type Refusal } from "./refusal.ts";

/** Where a client wants to read on, and what. */
export interface Wanted {
  readonly after: number;
  /** Undefined: everything. */
  readonly types: ReadonlySet<string> | undefined;
}

/**
 * The cursor of a request: `Last-Event-ID`, which a browser sends when it comes again, before the `?after=` that it began with. One that cannot be
 * is refused: reading "from now" would be a gap that nobody sees.
 */
export function wantedOf(request: Request, runId: string, head: number): Wanted | Refusal {
  const { searchParams } = new URL(request.url);
  const said = request.headers.get("last-event-id") ?? searchParams.get("after") ?? "0";
  const after = cursorOf(said, runId, head);
  if (typeof after !== "number") return after;
  const types = filterOf(searchParams.getAll("types").flatMap((list) => list.split(",")));
  return isRefusal(types) ? types : { after, types };
}

/** A seq, or `RUNID:SEQ`. */
function cursorOf(said: string, runId: string, head: number): number | Refusal {
  const [, run, digits] = /^(?:([\w.-]+):)?(\d{1,15})$/.exec(said.trim()) ?? [];
  if (digits === undefined) {
    return refuse(400, "invalid_cursor", "A cursor is the seq of the last event that came, from 0, or RUNID:SEQ.");
  }
  if (run !== undefined && run !== runId) {
    return refuse(400, "cursor_of_another_run", `That cursor belongs to run "${run}", not to "${runId}".`);
  }
  const after = Number(digits);
  return after <= head ? after : beyondHead(after, runId, head);
}

export function beyondHead(after: number, runId: string, head: number): Refusal {
  return refuse(
    400,
    "cursor_beyond_head",
    `Run "${runId}" ends at seq ${head}; there is no seq ${after}. Read it from its start, or from its state.`,
  );
}

/** The event types that patterns name; undefined where none is given. */
export function filterOf(patterns: readonly string[]): ReadonlySet<string> | undefined | Refusal {
  if (patterns.length === 0) return undefined;
  const types = new Set<string>();
  for (const pattern of patterns) {
    const named = typesOf(pattern.trim());
    if (named.length === 0) {
      return refuse(
        400,
        "invalid_request",
        `"${pattern.slice(0, 64)}" names no event type. Types, prefixes such as tool_*, or *.`,
      );
    }
    for (const type of named) types.add(type);
  }
  return types;
}
