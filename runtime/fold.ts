import { SCHEMA_VERSION, type Event } from "../machines/events.ts";
import type { AgentState } from "../machines/state.ts";
import { step } from "../machines/step.ts";
import { RubatoError } from "./errors.ts";

/**
 * The state after a logged event. What is in the log was accepted once, so a refusal is a divergence: of the log, or of today's charts.
 *
 * Throws {@link RubatoError} `log` for a divergence and `newer_schema` for a log that a newer version wrote.
 */
export function foldLogged(state: AgentState, event: Event): AgentState {
  if (event.type === "run_start" && event.data.schema > SCHEMA_VERSION)
    throw newerSchema(event.runId, event.data.schema);
  const result = step(state, event);
  if (!result.accepted) throw divergence(event, result.reason);
  return result.state;
}

export function newerSchema(runId: string, schema: number): RubatoError {
  return new RubatoError(
    "newer_schema",
    `Run "${runId}" was recorded by a newer rubato (schema ${schema}, this one knows ${SCHEMA_VERSION}). It can be read here, not folded or resumed: update rubato.`,
  );
}

function divergence({ runId, seq, type }: Event, reason: string): RubatoError {
  return new RubatoError(
    "log",
    `Run "${runId}" diverges at seq ${seq}: the event "${type}" does not fit the state before it (${reason}).`,
  );
}
