import { agentGuards, agentUpdates, copyOf, type ChartContext } from "./agent-rules.ts";
import { agentMachine, EFFECTS, type EffectName } from "./agent.ts";
import { compileChart } from "./chart-table.ts";
import { firstSeq, isCut, isNote, type Event, type EventData, type EventOf, type Fault } from "./events.ts";
import { hashText } from "./hash.ts";
import { reduceCallDelta, reduceControl, reduceDelta } from "./reduce.ts";
import { AgentState, nextCore, type Core, type ToolCallState } from "./state.ts";
import { itemsOf } from "./timeline.ts";
import { toolCallGuards, toolCallMachine } from "./tool-call.ts";

/** The agent chart, compiled. */
export const agentTable = compileChart<ChartContext, EffectName>(agentMachine, {
  guards: agentGuards,
  updates: agentUpdates,
  effects: EFFECTS,
  copy: copyOf,
});

/** The tool-call chart, compiled. It has no context: what a call is stands in {@link ToolCallState}. */
export const toolCallTable = compileChart<object, "note">(toolCallMachine, {
  guards: toolCallGuards,
  updates: {},
  effects: ["note"],
  copy: (context) => context,
});

/** Changes with every change of a chart: a log says which charts it was made with. */
export const CHART_HASH = hashText(JSON.stringify([agentMachine.config, toolCallMachine.config]));

/** What an event did. A refused one did nothing: `state` is the same object, `reason` says why in one word. */
export type StepResult =
  | { readonly accepted: true; readonly state: AgentState; readonly effects: readonly EffectName[] }
  | { readonly accepted: false; readonly state: AgentState; readonly effects: readonly []; readonly reason: string };

const NO_EFFECTS: readonly [] = [];
const NO_CONTEXT = {};

/**
 * The only way state changes (R2). Pure and total: it throws for nothing, and the same event in the same state always gives the same result.
 *
 * R4 What belongs to a request or a call that is over is refused here: deltas and messages carry their message id and attempt, tool events
 *    their call id and attempt.
 */
export function step(state: AgentState, event: Event): StepResult {
  if (firstSeq(event) !== state.seq + 1 || firstSeq(event) > event.seq) return refused(state, "out_of_order");
  if (state.seq > 0 && event.runId !== state.core.runId) return refused(state, "other_run");
  const next = stepDelta(state, event);
  if (next !== undefined) return { accepted: true, state: next, effects: NO_EFFECTS };
  if (event.type === "token_stream" || event.type === "tool_call_delta" || event.type === "tool_progress") {
    return refused(state, "stale");
  }
  if (event.type === "gap") return stepGap(state, event);
  return isNote(event) ? stepNote(state, event) : stepControl(state, event);
}

/**
 * The hot half of {@link step}, without its envelope checks: the next state, or undefined for what is stale or no delta. The shell calls it
 * directly for deltas that it numbered itself.
 */
export function stepDelta(state: AgentState, event: Event): AgentState | undefined {
  switch (event.type) {
    case "token_stream": {
      const { core, answer } = state;
      const { data } = event;
      if (answer === undefined || answer.messageId !== data.messageId || answer.attempt !== data.attempt) {
        return undefined;
      }
      const at = data.kind === "text" ? state.answerText.length : state.answerReasoning.length;
      if (data.offset !== at) return undefined;
      const open = streamingCore(core, event);
      return open === undefined ? undefined : reduceDelta(open, state, event);
    }
    case "tool_call_delta": {
      const { core, partial } = state;
      const { data } = event;
      if (partial === undefined || partial.messageId !== data.messageId || partial.attempt !== data.attempt) {
        return undefined;
      }
      const open = streamingCore(core, event);
      return open === undefined ? undefined : reduceCallDelta(open, partial, event);
    }
    case "tool_progress": {
      const call = openCall(state.core.calls, event.data.callId);
      if (call?.phase !== "running" || call.attempt !== event.data.attempt) return undefined;
      return new AgentState(state.core, event.seq, state.partial);
    }
    default:
      return undefined;
  }
}

/** The first delta of an answer takes the chart from requesting to streaming; the others do not touch it. */
function streamingCore(core: Core, event: EventOf<"token_stream" | "tool_call_delta">): Core | undefined {
  if (core.value === "thinking.streaming") return core;
  const move = agentTable.move(core.value, core.context, event);
  return move === undefined ? undefined : nextCore(core, move.value, core.context, core.calls);
}

/** What was dropped was said, but for its words: the first of them began the streaming. */
function stepGap(state: AgentState, event: EventOf<"gap">): StepResult {
  if (state.seq === 0) return refused(state, "not_started");
  const { core, partial } = state;
  const move = agentTable.move(core.value, core.context, event);
  const next = move === undefined ? core : nextCore(core, move.value, core.context, core.calls);
  return { accepted: true, state: new AgentState(next, event.seq, partial), effects: NO_EFFECTS };
}

function stepNote(state: AgentState, event: Event): StepResult {
  if (state.seq === 0) return refused(state, "not_started");
  if (event.type === "custom" && !isWorking(state)) return refused(state, "at_rest");
  if (event.type === "tool_result" && !isSettled(state, event)) return refused(state, "not_settled");
  return { accepted: true, state: new AgentState(state.core, event.seq, state.partial), effects: NO_EFFECTS };
}

function stepControl(state: AgentState, event: Event): StepResult {
  const problem = staleness(state, event);
  if (problem !== undefined) return refused(state, problem);
  const calls = stepCalls(state.core.calls, event);
  if (calls === undefined) return refused(state, "call_not_ready");
  const move = agentTable.move(state.core.value, state.core.context, event);
  if (move === undefined) return refused(state, `not_in_${state.core.value}`);
  return { accepted: true, state: reduceControl(state, event, move, calls), effects: move.effects };
}

/** Why an event cannot belong to this state, before the charts are asked. */
function staleness({ seq, core, partial }: AgentState, event: Event): string | undefined {
  if ((event.type === "run_start") !== (seq === 0)) return seq === 0 ? "not_started" : "already_started";
  switch (event.type) {
    case "user_input":
      return isKnownInput(core, event.data.id) ? "known_input" : undefined;
    case "input_delivered":
      return isWaiting(core, event.data) ? undefined : "unknown_input";
    case "thinking": {
      const again = core.retry !== undefined && event.data.step === core.retry.step;
      return again || event.data.step === core.context.step + 1 ? undefined : "stale";
    }
    case "message":
      return partial?.messageId === event.data.messageId && partial.attempt === event.data.attempt
        ? undefined
        : "stale";
    case "tool_call":
    case "approval_request":
    case "approval":
    case "tool_start":
    case "tool_result": {
      const call = openCall(core.calls, event.data.callId);
      if (call === undefined) return "unknown_call";
      if (event.type === "tool_start") return event.data.attempt === call.attempt + 1 ? undefined : "stale";
      if (event.type !== "tool_result") return undefined;
      return event.data.attempt === call.attempt && event.data.from === call.phase ? undefined : "stale";
    }
    default:
      return undefined;
  }
}

const CUT_BY_LENGTH: Fault = {
  code: "length",
  message:
    "The message was cut by the token limit, so its tool calls may be cut too and none of them ran. Answer shorter or call fewer tools at a time.",
};

// Functions of their own and a plain loop: a closure in `staleness` would cost every control event a context, whether it is called or not.

function isKnownInput({ inputIds }: Core, id: string): boolean {
  return inputIds.length > 0 && itemsOf(inputIds).some((known) => known.id === id);
}

function isWaiting({ inputs }: Core, { id, queue }: EventData<"input_delivered">): boolean {
  return inputs.some((waiting) => waiting.id === id && waiting.queue === queue);
}

function openCall(calls: readonly ToolCallState[], callId: string): ToolCallState | undefined {
  for (const call of calls) if (call.callId === callId) return call;
  return undefined;
}

/** The calls of the open step after an event, or undefined when the tool-call chart refuses it. */
function stepCalls(calls: readonly ToolCallState[], event: Event): readonly ToolCallState[] | undefined {
  switch (event.type) {
    case "message":
      if (isCut(event.data)) return calls;
      return completeCalls(event);
    case "tool_call":
    case "approval_request":
    case "approval":
    case "tool_start":
    case "tool_result": {
      const { callId } = event.data;
      const moved = calls.slice();
      for (let index = 0; index < moved.length; index++) {
        const call = moved[index];
        if (call?.callId !== callId) continue;
        const phase = toolCallTable.target(call.phase, NO_CONTEXT, event);
        if (phase === undefined) return undefined;
        moved[index] = withEvent(call, phase, event);
      }
      return moved;
    }
    case "owner":
      return calls.some((call) => call.phase === "running")
        ? calls.map((call) => {
            const phase = toolCallTable.target(call.phase, NO_CONTEXT, event);
            return phase === undefined ? call : withEvent(call, phase, event);
          })
        : calls;
    default:
      return calls;
  }
}

function completeCalls(event: EventOf<"message">): ToolCallState[] {
  return event.data.calls.map((call) => ({
    callId: call.callId,
    providerCallId: call.providerCallId,
    name: call.name,
    phase: toolCallTable.target("streaming", NO_CONTEXT, event) ?? "complete",
    attempt: 0,
    rawArgs: call.args,
    args: undefined,
    outcome: undefined,
    output: undefined,
    error: event.data.finish === "length" ? CUT_BY_LENGTH : undefined,
    approval: undefined,
  }));
}

/** Written out field by field: all versions of a call have one shape. */
function withEvent(call: ToolCallState, phase: string, event: Event): ToolCallState {
  const { callId, providerCallId, name, rawArgs, attempt, args, outcome, output, error, approval } = call;
  const next = { callId, providerCallId, name, phase, attempt, rawArgs, args, outcome, output, error, approval };
  switch (event.type) {
    case "tool_call":
      next.args = event.data.args;
      if (event.data.approval === "required")
        next.approval = { argsHash: event.data.argsHash ?? "", expiresAt: undefined, answer: undefined };
      break;
    case "approval_request": {
      const { argsHash, expiresAt } = event.data;
      next.approval = { argsHash, expiresAt, answer: undefined };
      break;
    }
    case "approval":
      answered(next, event.data);
      break;
    case "tool_start":
      next.attempt = event.data.attempt;
      break;
    case "tool_result":
      next.outcome = event.data.outcome;
      next.output = event.data.output;
      next.error = event.data.error;
      break;
    default:
      break;
  }
  return next;
}

/** What a person said: an approval binds the arguments that it names, a rejection is the reason why the call does not run. */
function answered(
  call: { args: ToolCallState["args"]; error: ToolCallState["error"]; approval: ToolCallState["approval"] },
  { decision, args, argsHash, answer, reason = "" }: EventData<"approval">,
): void {
  if (decision === "reject") {
    if (reason !== "") call.error = { code: "rejected", message: reason };
    return;
  }
  if (args !== undefined) call.args = args;
  const { argsHash: asked = "", expiresAt } = call.approval ?? {};
  call.approval = { argsHash: argsHash ?? asked, expiresAt, answer };
}

function isSettled({ core }: AgentState, event: EventOf<"tool_result">): boolean {
  const is = (call: ToolCallState): boolean => call.callId === event.data.callId && call.outcome !== undefined;
  return core.calls.some(is) || itemsOf(core.settledCalls).some(is);
}

/** True while the run does something: between a turn's first event and its last. */
export function isWorking({ core }: AgentState): boolean {
  return (
    core.value.startsWith("thinking.") || core.value.startsWith("acting.") || core.value === "interrupted.draining"
  );
}

/** The chart's own check at every step boundary: was this run asked to stop? */
export function shouldInterrupt(state: AgentState): boolean {
  return state.interruptRequested;
}

function refused(state: AgentState, reason: string): StepResult {
  return { accepted: false, state, effects: NO_EFFECTS, reason };
}
