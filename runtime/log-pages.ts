import type { Event } from "../machines/events.ts";
import { RubatoError } from "./errors.ts";
import type { EventLog } from "./log/event-log.ts";

/** Events per read: large enough that reading costs little per event, small enough that nobody notices a page in memory. */
const PAGE = 1_000;

export interface PageRange {
  /** Exclusive. Default 0, from the start. */
  readonly after?: number;
  /** Inclusive. Default: the log's head when the reading begins, so that it ends also for a run that works. */
  readonly until?: number;
}

/**
 * The stored events of a run, page by page; one page at a time is in memory. A gap that reaches beyond `until` is not among them.
 *
 * Throws {@link RubatoError}: `unknown_run`, or `log` with the seq where the log answers nothing although it says that there is more.
 */
export async function* logPages(
  log: EventLog,
  runId: string,
  { after = 0, until = Number.POSITIVE_INFINITY }: PageRange = {},
): AsyncGenerator<readonly Event[], void, undefined> {
  const head = await log.head(runId);
  if (head.seq === 0) throw unknownRun(runId);
  const end = Math.min(until, head.seq);
  let cursor = after;
  while (cursor < end) {
    const page = await log.read(runId, { after: cursor, limit: Math.min(PAGE, end - cursor) });
    const last = page.at(-1);
    if (last === undefined || last.seq <= cursor) {
      const message = `The log of run "${runId}" answers nothing after seq ${cursor}, and ${head.seq} events were stored.`;
      throw new RubatoError("log", `${message} Was it deleted?`);
    }
    cursor = last.seq;
    // A page counts a gap as one event, so it may reach beyond the end.
    yield cursor <= end ? page : page.filter((event) => event.seq <= end);
  }
}

export function unknownRun(runId: string): RubatoError {
  return new RubatoError("unknown_run", `There is no run "${runId}" in this log.`);
}
