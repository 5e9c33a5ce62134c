import type { Json } from "../../../machines/events.ts";
import type { AgentState, ToolCallState } from "../../../machines/state.ts";

/**
 * What of a run's state a client of AG-UI follows, under the key `rubato` of its shared state: what a display needs beside the messages, small, since
 * every change of it goes out. Its keys are ours alone: what a model or a person says stands in values.
 */
export function sharedState(state: AgentState): Readonly<Record<string, Json>> {
  const { core, error, limit, retry } = state;
  return {
    status: state.status,
    turn: state.turn,
    step: state.step,
    interruptRequested: state.interruptRequested,
    usage: json(state.usage),
    /** Of the step that is open. */
    toolCalls: core.calls.map(callOf),
    /** What the model has not heard yet. */
    inputs: core.inputs.map(({ id, text, queue }) => ({ id, text, queue })),
    ...(error === undefined ? {} : { error: json(error) }),
    ...(limit === undefined ? {} : { limit: json(limit) }),
    ...(retry === undefined
      ? {}
      : { retry: { attempt: retry.attempt, ...(retry.dueAt === undefined ? {} : { dueAt: retry.dueAt }) } }),
  };
}

function callOf({ callId, name, phase, outcome, args, approval }: ToolCallState): Json {
  return {
    callId,
    name,
    phase,
    ...(outcome === undefined ? {} : { outcome }),
    // What is to run, which a person may have edited.
    ...(approval === undefined || args === undefined ? {} : { args, argsHash: approval.argsHash }),
  };
}

/** Without the fields that have no value: JSON has none of them. */
function json(fields: object): Json {
  const kept: Record<string, Json> = {};
  for (const [key, value] of Object.entries(fields)) if (value !== undefined) kept[key] = value;
  return kept;
}
