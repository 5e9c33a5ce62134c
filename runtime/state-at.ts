import { isHot, type Event } from "../machines/events.ts";
import { initialState, type AgentState } from "../machines/state.ts";
import { checkOption } from "./checks.ts";
import { RubatoError } from "./errors.ts";
import { foldLogged } from "./fold.ts";
import type { EventLog } from "./log/event-log.ts";
import { logPages, unknownRun } from "./log-pages.ts";
import { snapshotCacheOf } from "./snapshot-cache.ts";

/** A state is kept every so many events, so that going back and forth in a run folds little. */
const KEEP_EVERY = 1_000;
/** A state is kept where other processes find it when folding it took this many events: writing one costs as much as folding hundreds. */
const PERSIST_AFTER = 10_000;

/**
 * The state of a run after the event with this seq; 0 is the state before the first. Folds from the newest snapshot that fits, and believes none
 * that the log contradicts: the answer is what the log alone says.
 *
 * Throws {@link RubatoError}: `unknown_run`; `newer_schema`; `invalid_option` for a seq beyond the run's end or within a range that was pruned;
 * `log` for a divergence or a log that cannot be read.
 */
export async function stateAt(log: EventLog, runId: string, seq: number): Promise<AgentState> {
  checkOption("seq", seq, Number.isInteger(seq) && seq >= 0, "a seq from 0");
  const head = await log.head(runId);
  if (head.seq === 0) throw unknownRun(runId);
  if (seq > head.seq) {
    throw new RubatoError("invalid_option", `Run "${runId}" ends at seq ${head.seq}; there is no state at seq ${seq}.`);
  }
  const cache = snapshotCacheOf(log);
  const start = (await cache.newest(runId, seq)) ?? initialState();
  let state = start;
  let kept = start.seq;
  let first: Event | undefined;
  let last: Event | undefined;
  if (start.seq > 0 && start.seq < seq) [first] = await log.read(runId, { after: 0, limit: 1 });
  for await (const page of logPages(log, runId, { after: start.seq, until: seq })) {
    for (const event of page) {
      first ??= event;
      last = event;
      state = foldLogged(state, event);
      if (state.seq - kept < KEEP_EVERY || isHot(event) || event.type === "gap") continue;
      kept = state.seq;
      await cache.keep(state, first, event, false);
    }
  }
  if (state.seq < seq) throw await prunedAt(log, runId, seq, state.seq);
  if (first !== undefined && last !== undefined && last.type !== "gap") {
    await cache.keep(state, first, last, state.seq - start.seq >= PERSIST_AFTER);
  }
  return state;
}

/** For a seq within a range that was pruned: nobody knows any more how the state was there. */
export async function prunedAt(log: EventLog, runId: string, seq: number, before: number): Promise<RubatoError> {
  const [gap] = await log.read(runId, { after: before, limit: 1 });
  return new RubatoError(
    "invalid_option",
    `Seq ${seq} of run "${runId}" lies in a range that was pruned. The nearest that are left: ${before} and ${gap?.seq ?? before}.`,
  );
}
