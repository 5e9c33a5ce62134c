import type { Event } from "../../machines/events.ts";
import { logPages } from "../log-pages.ts";
import type { EventLog } from "../log/event-log.ts";

/** The stored events of a run, one page in memory at a time. Folds nothing, so that the log of a newer version can be read too. */
export async function* storedEvents(log: EventLog, runId: string, after = 0): AsyncGenerator<Event, void, undefined> {
  for await (const page of logPages(log, runId, { after })) yield* page;
}
