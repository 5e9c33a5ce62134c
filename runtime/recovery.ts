import type { Draft, EventData } from "../machines/events.ts";
import { initialState, type AgentState } from "../machines/state.ts";
import { isWorking } from "../machines/step.ts";
import type { TraceHeaders } from "../machines/trace-context.ts";
import { foldLogged } from "./fold.ts";
import { logPages } from "./log-pages.ts";
import type { EventLog } from "./log/event-log.ts";

/** What an agent is made of, as far as a log remembers it. */
export type Definition = EventData<"run_start">["agent"];

/**
 * The state of a run, folded from its log.
 *
 * Throws {@link RubatoError}: `unknown_run`; `newer_schema` for the log of a newer version; `log` where an event does not fit those before it.
 */
export async function foldLog(log: EventLog, runId: string): Promise<AgentState> {
  let state = initialState();
  for await (const events of logPages(log, runId)) for (const event of events) state = foldLogged(state, event);
  return state;
}

/** What differs between the agent that a run was begun with and this one, as one sentence; undefined when nothing does. */
export function definitionChange(begun: Definition, now: Definition): string | undefined {
  const changes: string[] = [];
  if (begun.name !== now.name) changes.push(`it was begun by agent "${begun.name}", this is "${now.name}"`);
  if (begun.instructions !== now.instructions) changes.push("the instructions changed");
  for (const { name, hash } of begun.tools) {
    const tool = now.tools.find((other) => other.name === name);
    if (tool === undefined) changes.push(`tool "${name}" is gone`);
    else if (tool.hash !== hash) changes.push(`tool "${name}" changed`);
  }
  for (const { name } of now.tools) {
    if (!begun.tools.some((other) => other.name === name)) changes.push(`tool "${name}" is new`);
  }
  if (changes.length === 0) return undefined;
  return `The agent is not the one that the run was begun with: ${changes.join(", ")}. Resume with allowChanged to go on all the same.`;
}

/** The first event of a new owner. */
export function ownerDraft(
  state: AgentState,
  { epoch, who, why: asked }: Pick<EventData<"owner">, "epoch" | "who" | "why">,
  caller?: TraceHeaders,
): Draft {
  // A copy whose process died before it owned it is a fork all the same: what ran, ran in the other run and under its keys.
  const { fork } = state.core.start ?? {};
  const why = fork !== undefined && state.seq <= fork.seq ? "fork" : asked;
  // Where nothing was under way nothing was recovered.
  const recoveries = isWorking(state) && why !== "fork" ? state.core.recoveries + 1 : 0;
  return { type: "owner", data: { epoch, who, why, recoveries, ...(isWorking(state) ? caller : undefined) } };
}
