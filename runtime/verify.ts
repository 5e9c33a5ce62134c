import { SCHEMA_VERSION } from "../machines/events.ts";
import { logCheck } from "../machines/log-check.ts";
import { messageOf, RubatoError } from "./errors.ts";
import { newerSchema } from "./fold.ts";
import type { EventLog } from "./log/event-log.ts";
import { logPages } from "./log-pages.ts";

/** What {@link verify} found. `events` counts a pruned range as one, `seq` is that of the last event. */
export type Verification =
  | { readonly ok: true; readonly events: number; readonly seq: number }
  | { readonly ok: false; readonly seq: number; readonly problem: string };

/**
 * Checks a run's log, from its first event to its last, and answers the first seq at which something is wrong. Runs nothing; one page of events
 * is in memory at a time.
 *
 * Looked at are the log's own checksums, where it has them ({@link EventLog.check}), and at every event what is promised of every log: order,
 * epochs, one end per turn, one start and one outcome per call, no start under an interrupt, a message list that a provider takes, messages
 * that say what was streamed, rest events with the hash of the state before them.
 *
 * Without checksums (a log in memory, a foreign store) this finds every event that is missing, doubled, moved or inserted, and every change of
 * what the state is made of, at the latest where the turn ends. What only informs is then taken as it stands: timestamps, causes, who asked
 * and why, model names, waits, progress, events of an app's own, the words of the turn that is still open, and an end that was cut off.
 * With checksums those are found too, but for a cut end: only somebody outside who knows the last seq can miss it.
 *
 * Throws {@link RubatoError} `unknown_run`, and `newer_schema` for a log that this version cannot judge.
 */
export async function verify(log: EventLog, runId: string): Promise<Verification> {
  const damage = await log.check?.(runId);
  const check = logCheck(runId);
  let events = 0;
  try {
    for await (const page of logPages(log, runId)) {
      for (const event of page) {
        if (damage !== undefined && event.seq >= damage.seq) return { ok: false, ...damage };
        if (event.type === "run_start" && event.data.schema > SCHEMA_VERSION) {
          throw newerSchema(runId, event.data.schema);
        }
        // The place where it goes wrong: what stands there may name another seq.
        const seq = check.state.seq + 1;
        const problem = check.take(event);
        if (problem !== undefined) return { ok: false, seq, problem: `${event.type}: ${problem}.` };
        events++;
      }
    }
  } catch (error) {
    if (!(error instanceof RubatoError) || error.code !== "log") throw error;
    return { ok: false, ...(damage ?? { seq: check.state.seq + 1, problem: messageOf(error) }) };
  }
  if (damage !== undefined) return { ok: false, ...damage };
  const { seq } = check.state;
  const problem = check.end();
  return problem === undefined ? { ok: true, events, seq } : { ok: false, seq, problem: `${problem}.` };
}
