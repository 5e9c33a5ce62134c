import type { Event, EventType } from "../machines/events.ts";
import { typesOf } from "./pattern.ts";
import { RubatoError } from "./errors.ts";
import { checkOption } from "./checks.ts";
import type { Head } from "./head.ts";
import { PAGE_BYTES, type EventLog } from "./log/event-log.ts";

/**
 * Readers of one run: each has nothing but a cursor. What is durable comes from the log, the newest deltas from the head, so any number of
 * readers at any pace cost no memory (P26: every event after the cursor, once, in order, with no seam).
 */

/** What a reader needs of a head. */
export type ReadableHead = Pick<
  Head,
  "runId" | "durableSeq" | "publishedSeq" | "atRest" | "failure" | "volatileAfter" | "onProgress" | "onStored"
> & {
  /** Looks for what another process stored. Absent where nobody else can. */
  refresh?(): Promise<void>;
};

const PAGE = 256;
/** Read backwards, where a page cannot end at its bytes. */
const HISTORY_PAGE = 64;

/** Published events after a cursor, oldest first. Empty when there are none yet. */
export function readPublished(
  head: ReadableHead,
  log: EventLog,
  cursor: number,
  limit = PAGE,
): readonly Event[] | Promise<readonly Event[]> {
  return cursor >= head.durableSeq ? head.volatileAfter(cursor) : readStored(head, log, cursor, limit);
}

/** Stored events after a cursor, oldest first. */
export function readStored(
  head: ReadableHead,
  log: EventLog,
  cursor: number,
  limit: number,
): readonly Event[] | Promise<readonly Event[]> {
  // Not more than the head knows to be stored (P2): an append whose answer is still out may yet be refused.
  const stored = head.durableSeq - cursor;
  return stored <= 0 ? [] : log.read(head.runId, { after: cursor, limit: Math.min(limit, stored), bytes: PAGE_BYTES });
}

export interface ReadOptions {
  /** Exclusive cursor: events with a greater seq. Default 0, from the start. */
  readonly from?: number;
  /** Only these types. Default all. */
  readonly types?: readonly EventType[];
  /** Wait for more also when the run is at rest. End it by leaving the loop. Default false. */
  readonly follow?: boolean;
}

export function readEvents(head: ReadableHead, log: EventLog, options: ReadOptions = {}): AsyncIterableIterator<Event> {
  const { from = 0, types, follow = false } = options;
  const wanted = types === undefined ? undefined : new Set<EventType>(types);
  let cursor = from;
  let page: readonly Event[] = [];
  let index = 0;
  let closed = false;
  let wake: (() => void) | undefined;
  let pulls = 0;
  let lastPull: Promise<unknown> | undefined;

  const progress = (): Promise<void> =>
    new Promise((resolve) => {
      const forget = head.onProgress(() => {
        wake = undefined;
        resolve();
      });
      wake = () => {
        forget();
        wake = undefined;
        resolve();
      };
    });

  const end: IteratorResult<Event> = { done: true, value: undefined };

  /** Pulls that are asked for at the same time are answered one after the other, as a generator does. */
  function next(): Promise<IteratorResult<Event>> {
    const before = pulls++ === 0 ? undefined : lastPull;
    const pull = before === undefined ? take() : before.then(take, take);
    lastPull = pull;
    return pull;
  }

  async function take(): Promise<IteratorResult<Event>> {
    try {
      while (!closed) {
        while (index < page.length) {
          const event = page[index++];
          if (event === undefined) break;
          cursor = event.seq;
          if (wanted === undefined || wanted.has(event.type)) return { done: false, value: event };
        }
        index = 0;
        page = [];
        const stored = head.durableSeq;
        page = await readPublished(head, log, cursor);
        if (page.length > 0) continue;
        if (cursor < stored) throw missing(head.runId, cursor, stored);
        if (cursor < head.durableSeq) continue;
        // Deltas that were told and that the failed log never stored are gone: they are not waited for.
        if (head.failure !== undefined) break;
        if (cursor < head.publishedSeq) continue;
        if (head.atRest && !follow) {
          await head.refresh?.();
          if (cursor < head.publishedSeq || !head.atRest) continue;
          break;
        }
        await progress();
      }
      return end;
    } finally {
      pulls--;
    }
  }

  return {
    next,
    return() {
      closed = true;
      page = [];
      wake?.();
      return Promise.resolve(end);
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/** The run was deleted, or the log lost something: going on would be a gap that nobody sees. */
export function missing(runId: string, cursor: number, stored: number): RubatoError {
  return new RubatoError(
    "log",
    `The log of run "${runId}" answers nothing after seq ${cursor}, and ${stored} events were stored. Was it deleted?`,
  );
}

/** The last `limit` events of a pattern, oldest first, read backwards page by page. */
export async function readHistory(head: ReadableHead, log: EventLog, pattern: string, limit: number): Promise<Event[]> {
  const wanted = new Set<string>(typesOf(pattern));
  const found: Event[] = [];
  let end = head.durableSeq;
  while (end > 0 && found.length < limit) {
    const start = Math.max(0, end - HISTORY_PAGE);
    const page = await log.read(head.runId, { after: start, limit: end - start });
    for (let index = page.length - 1; index >= 0 && found.length < limit; index--) {
      const event = page[index];
      // A page that begins in a gap has fewer events than seqs, and so reaches into what was read before.
      if (event !== undefined && event.seq <= end && wanted.has(event.type)) found.push(event);
    }
    end = start;
  }
  return found.reverse();
}

/** Throws {@link RubatoError} `invalid_option` for a cursor that cannot be one. */
export function checkReadOptions(options: ReadOptions = {}): ReadOptions {
  const { from = 0 } = options;
  checkOption("from", from, Number.isInteger(from) && from >= 0, "a seq from 0");
  return options;
}
