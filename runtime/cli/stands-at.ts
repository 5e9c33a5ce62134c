import { RubatoError } from "../errors.ts";
import type { EventLog, RunSummary } from "../log/event-log.ts";
import { stateAt } from "../state-at.ts";
import { pendingLine } from "./answer.ts";
import { raiseOf } from "./budget.ts";
import { describeLimit } from "./describe-limit.ts";
import { shortId } from "./find-run.ts";
import { waitsFor } from "./status-line.ts";
import type { AgentState } from "../../machines/state.ts";

/** What a run waits for or rests at, and what to type, a line each: calls, a retry, a limit. Nothing for most runs. */
export function standsAt(state: AgentState, program: string, now: number): string[] {
  const run = shortId(state.runId);
  const lines = state.pendingApprovals.map(
    (call) => `waits: ${pendingLine(call)} (${program} approve | reject ${run} ${call.callId})`,
  );
  if (state.retry !== undefined) {
    const [retry = ""] = waitsFor(state, { now, retryFor: state.error?.message });
    lines.push(`waits: ${retry}`);
  }
  if (state.limit !== undefined && state.status === "interrupted") {
    const more = raiseOf(state.limit);
    lines.push(
      `${describeLimit(state.limit)}${more === undefined ? "" : ` (${program} resume ${run} --budget ${more})`}`,
    );
  }
  return lines;
}

/** The same of a run as its log has it. A log that this version cannot fold has nothing to say here: whoever works with it is told why. */
export async function standsNow(log: EventLog, runId: string, program: string, now: number): Promise<string[]> {
  try {
    return standsAt(await stateAt(log, runId, (await log.head(runId)).seq), program, now);
  } catch (error) {
    if (error instanceof RubatoError) return [];
    throw error;
  }
}

/** The same for a list, which folds only the logs that may have something to say. */
export async function standsInList(
  log: EventLog,
  { runId, status, seq, problem }: RunSummary,
  program: string,
  now: number,
): Promise<string[]> {
  if (problem !== undefined || !(await maySay(log, runId, status, seq))) return [];
  return standsNow(log, runId, program, now);
}

/** How far before the end of a log its limit or its retry stands at most, in events. */
const NEAR = 16;

async function maySay(log: EventLog, runId: string, status: RunSummary["status"], seq: number): Promise<boolean> {
  if (status === "waiting" || status === "acting") return true;
  if (status !== "interrupted" && status !== "thinking") return false;
  const last = await log.read(runId, { after: Math.max(0, seq - NEAR), limit: NEAR });
  return last.some(({ type }) => type === (status === "thinking" ? "retry" : "limit"));
}
