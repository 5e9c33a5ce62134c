import type { Event } from "../machines/events.ts";
import { initialState, type AgentState } from "../machines/state.ts";
import { checkOption } from "./checks.ts";
import { foldLogged } from "./fold.ts";
import type { EventLog } from "./log/event-log.ts";
import { logPages } from "./log-pages.ts";

export interface ReplayOptions {
  /** The last seq to replay, from 0. Default: the log's end when the replay begins. */
  readonly until?: number;
}

/** An event and the state after it. */
export interface Replayed {
  readonly event: Event;
  readonly state: AgentState;
}

/**
 * Folds a recorded run again, event by event. Runs nothing (P7): no model, no tool, no timer. One page of events is in memory at a time, and
 * states share their storage, so a long log costs no more than its state. A range that was pruned comes as one `gap` event.
 *
 * Throws {@link RubatoError} while it is iterated: `unknown_run`; `newer_schema` for a log that a newer version wrote (it can still be read and
 * printed); `log` with run, seq, type and reason for an event that does not fit the state before it, and where the log cannot be read.
 */
export async function* replay(
  log: EventLog,
  runId: string,
  options: ReplayOptions = {},
): AsyncGenerator<Replayed, void, undefined> {
  const { until = Number.POSITIVE_INFINITY } = options;
  checkOption("until", until, isCursor(until), "a seq from 0");
  let state = initialState();
  for await (const page of logPages(log, runId, { until })) {
    for (const event of page) {
      state = foldLogged(state, event);
      yield { event, state };
    }
  }
}

function isCursor(value: number): boolean {
  return value === Number.POSITIVE_INFINITY || (Number.isInteger(value) && value >= 0);
}
