import { isTerminal, type Event } from "../../machines/events.ts";
import { PAGE_BYTES, type EventLog } from "../log/event-log.ts";

/** Events per read. */
const PAGE = 64;

/**
 * The seq of the rest behind which a stretch of work begins: that of the last `done`, `interrupted` or `failed` before `seq`. 0 for the first stretch.
 * A stretch may hold rests in which a person is asked for an approval: the answer goes on in the same one. A redirect and a follow-up go on without a
 * rest, so theirs is no end of a stretch.
 */
export async function stretchBefore(log: EventLog, runId: string, seq: number): Promise<number> {
  let next: Event | undefined;
  // Backwards, page by page: the last rest is near, however long the run is.
  for (let end = seq - 1; end > 0;) {
    const after = Math.max(0, end - PAGE);
    const page = await log.read(runId, { after, limit: end - after });
    for (const event of page.toReversed()) {
      if (event.seq > end) continue;
      if (isTerminal(event) && !goesOn(event, next)) return event.seq;
      next = event;
    }
    end = after;
  }
  return 0;
}

/** What was said before goes on with it in the same moment. */
function goesOn(event: Event, next: Event | undefined): boolean {
  if (event.type === "interrupted") return next?.type === "resume" && next.data.by === "input";
  return event.type === "done" && next?.type === "input_delivered" && next.data.queue === "done" && next.data.delivered;
}

/**
 * Requests of a stretch whose words were taken back, as `MESSAGEID ATTEMPT`: a later attempt of the same message was made and this one left no message.
 */
export async function supersededIn(log: EventLog, runId: string, after: number): Promise<ReadonlySet<string>> {
  const last = new Map<string, number>();
  const complete = new Set<string>();
  const superseded = new Set<string>();
  for (let cursor = after; ;) {
    const page = await log.read(runId, { after: cursor, limit: 512, bytes: PAGE_BYTES });
    const end = page.at(-1);
    if (end === undefined) return superseded;
    cursor = end.seq;
    for (const event of page) {
      if (event.type === "message") complete.add(`${event.data.messageId} ${event.data.attempt}`);
      if (event.type !== "thinking") continue;
      const { messageId, attempt } = event.data;
      const earlier = `${messageId} ${last.get(messageId) ?? 0}`;
      if (last.has(messageId) && !complete.has(earlier)) superseded.add(earlier);
      last.set(messageId, attempt);
    }
  }
}
