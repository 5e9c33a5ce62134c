import { firstSeq, type Event } from "../machines/events.ts";
import { RubatoError } from "./errors.ts";
import { PAGE_BYTES, type EventLog } from "./log/event-log.ts";

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
    // One more than there should be: a log that holds something twice is to be seen as what it is.
    const page = await log.read(runId, { after: cursor, limit: Math.min(PAGE, end - cursor + 1), bytes: PAGE_BYTES });
    const last = page.at(-1);
    if (last === undefined || last.seq <= cursor) throw missing(runId, cursor, head.seq);
    if (last.seq <= end) {
      cursor = last.seq;
      yield page;
      continue;
    }
    // A page counts a gap as one event, so it may reach beyond the end.
    const beyond = page.findIndex((event) => event.seq > end);
    const kept = page.slice(0, beyond);
    yield kept;
    const next = page[beyond];
    cursor = kept.at(-1)?.seq ?? cursor;
    if (next !== undefined && firstSeq(next) > cursor + 1) throw missing(runId, cursor, head.seq);
    return;
  }
}

function missing(runId: string, cursor: number, stored: number): RubatoError {
  const message = `The log of run "${runId}" answers nothing after seq ${cursor}, and ${stored} events were stored.`;
  return new RubatoError("log", `${message} Was it deleted?`);
}

export function unknownRun(runId: string): RubatoError {
  return new RubatoError("unknown_run", `There is no run "${runId}" in this log. See which there are: agent.runs().`);
}
