import type { Event } from "rubato/machines";
import type { EventLog } from "../../runtime/log/event-log.ts";
import { memoryLog } from "../../runtime/log/memory.ts";

/** Every event of a run, as stored. */
export async function stored(log: EventLog, runId: string): Promise<readonly Event[]> {
  return log.read(runId, { after: 0, limit: Number.MAX_SAFE_INTEGER });
}

/**
 * A memory log whose appends become durable only some microtasks later, as those of a file do, and that tells before it stores: the moments
 * between acceptance and durability exist here and can be hit.
 */
export function slowLog(beforeStore: (events: readonly Event[]) => void = () => {}): EventLog {
  const log = memoryLog();
  return {
    ...log,
    async append(runId, batch) {
      beforeStore(batch.events);
      for (let turn = 0; turn < 3; turn++) await Promise.resolve();
      await log.append(runId, batch);
      return undefined;
    },
  };
}
