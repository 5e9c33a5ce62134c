export { createAgent, type Agent, type ResumeAnswer } from "./agent.ts";
export type { AgentApproval, ApprovalCall } from "./approvals.ts";
export type {
  AgentOptions,
  Budget,
  ForkRunOptions,
  OpenOptions,
  ResumeRunOptions,
  RunOptions,
} from "./agent-options.ts";
export type { BatchOptions } from "./batches.ts";
export type { BusStats } from "./bus.ts";
export type { ReplayCheck } from "./check-replay.ts";
export { systemClock, type Clock } from "./clock.ts";
export { diffRuns, type DiffCall, type DiffSide, type RunDiff } from "./diff-runs.ts";
export type { ClassifiedError, ErrorClass } from "./error-class.ts";
export { RubatoError, type RubatoErrorCode } from "./errors.ts";
export type {
  AppendBatch,
  Awaitable,
  Claim,
  ClaimOptions,
  EventLog,
  Inbox,
  LogHead,
  LogProblem,
  PostedCommand,
  ReadRange,
  RunSummary,
} from "./log/event-log.ts";
export { fileLog, type FileLogOptions } from "./log/file.ts";
export type { SnapshotStore, StoredSnapshot } from "./log/snapshot-store.ts";
export type { Logger, LogLevel } from "./logger.ts";
export type { AgentMetrics, Counted, ErrorCount, SubscriberFigures } from "./metrics/agent-metrics.ts";
export type { ProcessFigures } from "./metrics/process-watch.ts";
export type { Latency } from "./metrics/window.ts";
export { memoryLog } from "./log/memory.ts";
export type { ChatModel, ModelChunk, ModelRequest, ToolDescription } from "./models/chat-model.ts";
export { offlineModel } from "./models/offline.ts";
export { modelFailureOf, type ModelFailure } from "./models/openai-errors.ts";
export { openaiModel, type OpenAIModelOptions, type ToolChoice } from "./models/openai.ts";
export {
  pause,
  scriptedModel,
  toolCalls,
  type Gate,
  type Script,
  type ScriptedAnswer,
  type ScriptedCall,
  type ScriptedModel,
  type ScriptStep,
} from "./models/scripted.ts";
export type { ModelTimeouts } from "./model-watch.ts";
export type { AgentObserver } from "./observe.ts";
export type { Outcome } from "./outcome.ts";
export type { Level, Overflow, QueueOptions, SubscribeOptions, SubscriberStats } from "./overflow.ts";
export type { EventFor, EventPattern } from "./pattern.ts";
export type { ReadOptions } from "./reader.ts";
export type { Redact } from "./redact.ts";
export { replay, type Replayed, type ReplayOptions } from "./replay.ts";
export { retryBucket, type RetryBucket, type RetryBucketOptions } from "./retry-bucket.ts";
export type { RecoveryHandler, RetryContext, RetryOptions } from "./retry.ts";
export type {
  ApproveOptions,
  CallerOptions,
  InterruptOptions,
  InterruptReceipt,
  Receipt,
  RejectOptions,
  ResumeOptions,
  Run,
  SendOptions,
  SendReceipt,
} from "./run.ts";
export type { InspectOptions, XStateInspector } from "./shadow.ts";
export { stateAt } from "./state-at.ts";
export type { Listener } from "./subscriber.ts";
export { verify, type Verification } from "./verify.ts";
export { isTerminal, type Event, type EventData, type EventOf, type EventType, type Json } from "../machines/events.ts";
export type { LineChange } from "../machines/line-diff.ts";
export type { Price } from "../machines/limits.ts";
export type { Message } from "../machines/messages.ts";
export { statusOf, type AgentState, type CallApproval, type Status, type ToolCallState } from "../machines/state.ts";
export { shouldInterrupt } from "../machines/step.ts";
export {
  defineTool,
  type ApprovalContext,
  type ApprovalPolicy,
  type CrashPolicy,
  type Tool,
  type ToolContext,
} from "../tools/tool.ts";
