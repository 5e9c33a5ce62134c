import { RubatoError } from "../errors.ts";
import { isRunId, type EventLog, type RunSummary } from "../log/event-log.ts";
import type { Io } from "./io.ts";

/** A run id as people type it: the beginning of a random one says enough. */
export function shortId(runId: string): string {
  return /^run_[\da-f]{8}-/.test(runId) ? runId.slice(0, 12) : runId;
}

/** The log of the folder. A command that needs a run needs one that is there. */
export function needLog(io: Io): EventLog {
  const log = io.openLog();
  if (log !== undefined) return log;
  throw new RubatoError("unknown_run", `There are no runs: the log folder "${io.place}" does not exist.`);
}

/**
 * The run that a word means: its id, or a beginning of it (also without `run_`) that no other run has.
 *
 * Throws {@link RubatoError}: `invalid_option` for what cannot be an id, `unknown_run` for none and for several.
 */
export async function findRun(io: Io, log: EventLog, word: string): Promise<string> {
  if (!isRunId(word)) {
    throw new RubatoError("invalid_option", `${JSON.stringify(word)} is no run id: ${io.program} runs lists them.`);
  }
  if (await exists(log, word)) return word;
  const all = await log.list();
  const found = all.filter(({ runId }) => runId.startsWith(word) || runId.startsWith(`run_${word}`));
  const [first, second] = found;
  if (first === undefined) {
    throw new RubatoError("unknown_run", `There is no run "${word}" in "${io.place}": ${io.program} runs lists them.`);
  }
  if (second !== undefined) {
    const some = found.slice(0, 4).map(({ runId }) => shortId(runId));
    const more = found.length > 4 ? `, and ${found.length - 4} more` : "";
    throw new RubatoError("unknown_run", `"${word}" may be several runs: ${some.join(", ")}${more}.`);
  }
  return first.runId;
}

/** A damaged run exists: whoever reads it is told what is wrong with it. */
async function exists(log: EventLog, runId: string): Promise<boolean> {
  try {
    return (await log.head(runId)).seq > 0;
  } catch (error) {
    if (error instanceof RubatoError && error.code === "log") return true;
    throw error;
  }
}

/** The run that something was recorded in last. */
export async function lastRun(io: Io, log: EventLog): Promise<RunSummary> {
  let last: RunSummary | undefined;
  for (const summary of await log.list()) {
    if (summary.problem === undefined && (last === undefined || summary.updatedAt >= last.updatedAt)) last = summary;
  }
  if (last === undefined) throw new RubatoError("unknown_run", `There are no runs in "${io.place}" yet.`);
  return last;
}
