export { agentGuards, INITIAL_CONTEXT, MAX_RECOVERIES, type ChartContext } from "./agent-rules.ts";
export { agentMachine, EFFECTS, type EffectName } from "./agent.ts";
export { hashArgs, respond, type CallResult, type Command, type CommandAnswer, type Refusal } from "./command.ts";
export { derive, type Facts } from "./derive.ts";
export {
  EVENT_TYPES,
  eventSchema,
  firstSeq,
  isHot,
  isNote,
  isTerminal,
  parseEvent,
  REDUCER_VERSION,
  SCHEMA_VERSION,
  type Draft,
  type Event,
  type EventData,
  type EventOf,
  type EventType,
  type Fault,
  type HotEvent,
  type InterruptMode,
  type Json,
  type Limits,
  type PartialPolicy,
  type RunUsage,
  type Usage,
} from "./events.ts";
export { explain, type Considered, type Explanation } from "./explain.ts";
export { costOf, reachedLimit, type Price } from "./limits.ts";
export { toMermaid } from "./mermaid.ts";
export { messageListProblem, messageSchema, type Message, type RequestedCall, type ToolOutcome } from "./messages.ts";
export { decodeSnapshot, encodeSnapshot, SNAPSHOT_KEY } from "./snapshot.ts";
export {
  encodeState,
  initialState,
  isAtRest,
  statusOf,
  type AgentState,
  type CallApproval,
  type PartialAnswer,
  type Status,
  type StreamingCall,
  type ToolCallState,
  type WaitingInput,
} from "./state.ts";
export { stateHash } from "./state-hash.ts";
export { CHART_HASH, isWorking, shouldInterrupt, step, type StepResult } from "./step.ts";
export {
  headersOut,
  readTraceparent,
  readTracestate,
  spanIdOf,
  traceHeaders,
  traceIdOf,
  type TraceContext,
  type TracedRun,
  type TraceHeaders,
} from "./trace-context.ts";
export { toolCallMachine } from "./tool-call.ts";
