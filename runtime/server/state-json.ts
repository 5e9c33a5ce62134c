import { isAtRest, type AgentState } from "../../machines/state.ts";

/** A state as the server shows it: plain JSON, complete for a display. Fields without a value are left out. */
export function stateJson(state: AgentState) {
  return {
    runId: state.runId,
    seq: state.seq,
    status: state.status,
    /** The chart's state as a path, such as `thinking.streaming`. */
    value: state.value,
    /** As far as the log tells: whether a process works on the run is in its summary. */
    atRest: isAtRest(state),
    turn: state.turn,
    step: state.step,
    interruptRequested: state.interruptRequested,
    agent: state.core.start?.agent.name,
    metadata: state.core.start?.metadata,
    messages: state.messages,
    toolCalls: [...state.toolCalls.values()],
    /** Calls that wait for a person. */
    pendingApprovals: state.pendingApprovals,
    /** Tools whose calls were approved for the whole run. */
    allowedTools: state.allowedTools,
    partial: state.partial,
    inputs: state.core.inputs,
    usage: state.usage,
    output: state.output,
    error: state.error,
    limit: state.limit,
    retry: state.retry,
    interrupt: state.core.interrupt,
  };
}

export type StateJson = ReturnType<typeof stateJson>;
