import { isHot } from "../../machines/events.ts";
import type { Agent } from "../agent.ts";
import type { EventLog } from "../log/event-log.ts";
import { replay } from "../replay.ts";
import { inspectOptions, Shadow, shadowObserver, type InspectOptions, type XStateInspector } from "../shadow.ts";

/** Shows every run of an agent to an XState inspector, from now on. The same as the agent's option `inspect`, for an agent that is there already. */
export function inspectAgent(agent: Pick<Agent, "observe">, inspector: XStateInspector | InspectOptions): () => void {
  const shadows = shadowObserver(inspectOptions(inspector));
  const stop = agent.observe(shadows);
  return () => {
    stop();
    shadows.end();
  };
}

/** Shows a recorded run to an XState inspector, as fast as it is read. Runs nothing. Rejects with `unknown_run` or `newer_schema`. */
export async function inspectLog(log: EventLog, runId: string, given: XStateInspector | InspectOptions): Promise<void> {
  const { inspector, hot = false } = inspectOptions(given);
  const shadow = new Shadow(inspector, runId);
  let waits = false;
  for await (const { event } of replay(log, runId)) {
    if (isHot(event) && !hot) {
      // The first delta of an answer is the one that moves the chart.
      if (!waits || event.type === "tool_progress") continue;
      waits = false;
    }
    if (event.type === "thinking") waits = true;
    shadow.take(event);
  }
}
