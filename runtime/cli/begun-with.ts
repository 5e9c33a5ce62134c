import type { EventLog } from "../log/event-log.ts";

/** The names of the tools that a run was begun with; undefined where it has no beginning yet. */
export async function toolsOfRun(log: EventLog, runId: string): Promise<readonly string[] | undefined> {
  const [first] = await log.read(runId, { after: 0, limit: 1 });
  return first?.type === "run_start" ? first.data.agent.tools.map(({ name }) => name) : undefined;
}
