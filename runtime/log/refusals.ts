import { firstSeq, type Event } from "../../machines/events.ts";
import { checkOption } from "../checks.ts";
import { RubatoError } from "../errors.ts";
import { isRunId } from "./event-log.ts";

/** What every adapter refuses, in the same words. */

export function checkNewRun(runId: string, first: Event): void {
  checkOption("runId", runId, isRunId(runId), "1 to 128 characters of A-Z a-z 0-9 . _ -, not beginning with a dot");
  if (firstSeq(first) !== 1)
    throw new RubatoError("log", `Run "${runId}" does not exist: its first event must be seq 1.`);
}

export function checkFollows(runId: string, seq: number, events: readonly Event[]): void {
  const [first] = events;
  if (first !== undefined && firstSeq(first) !== seq + 1) {
    throw new RubatoError("log", `Run "${runId}" is at seq ${seq}; seq ${first.seq} does not follow.`);
  }
  if (events.length > 1) checkContiguous(runId, events);
}

export function checkContiguous(runId: string, events: readonly Event[]): void {
  let next: number | undefined;
  for (const event of events) {
    if (next !== undefined && firstSeq(event) !== next)
      throw new RubatoError("log", `A batch for run "${runId}" has a gap before seq ${event.seq}.`);
    next = event.seq + 1;
  }
}

export function runExists(runId: string): RubatoError {
  return new RubatoError("run_exists", `A run "${runId}" exists already. Choose another runId, or open that one.`);
}

export function notOwner(runId: string, newest: number, epoch: number): RubatoError {
  if (newest === epoch) {
    return new RubatoError("not_owner", `Run "${runId}" was let go, or is in use elsewhere. Claim it first.`);
  }
  return new RubatoError(
    "not_owner",
    `Run "${runId}" has a newer owner (epoch ${newest}, this one is ${epoch}). It goes on there.`,
  );
}

export function inUse(runId: string): RubatoError {
  return new RubatoError("owned", `Run "${runId}" is in use. Close the agent that has it first.`);
}
