import type { Status } from "../../machines/state.ts";
import type { RunSummary } from "../log/event-log.ts";

/** It stands in the middle of its work, and its process ended. */
export function isLeftBehind({ status, owned, problem }: RunSummary): boolean {
  return problem === undefined && !owned && isBusy(status);
}

/** The word for a list: where a run stands, and whether somebody is there to take it further. */
export function statusOfSummary(run: RunSummary): string {
  if (run.problem !== undefined) return "damaged";
  return isLeftBehind(run) ? `${run.status}, not running` : run.status;
}

function isBusy(status: Status): boolean {
  return status === "thinking" || status === "acting" || status === "idle";
}
