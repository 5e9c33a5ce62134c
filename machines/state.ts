import { INITIAL_CONTEXT, type ChartContext } from "./agent-rules.ts";
import { NO_CONTROL, type Control } from "./control.ts";
import type { EventData, Fault, InterruptMode, Json, PartialPolicy, RunUsage } from "./events.ts";
import { canonical, EMPTY_HASH, type Hash } from "./hash.ts";
import type { Message, ToolOutcome } from "./messages.ts";
import { emptyTimeline, itemsOf, type Timeline } from "./timeline.ts";
import type { TraceHeaders } from "./trace-context.ts";

/** Where a run stands, for people and programs. `waiting`: for a person's approval, with nothing executing. */
export type Status = "idle" | "thinking" | "acting" | "waiting" | "interrupted" | "done" | "failed" | "cancelled";

/** A tool call and what became of it. `phase` is a state of the tool-call chart. */
export interface ToolCallState {
  readonly callId: string;
  readonly providerCallId: string;
  readonly name: string;
  readonly phase: string;
  /** Starts so far. 0 before the first. */
  readonly attempt: number;
  /** Arguments as JSON text, as the model wrote them. */
  readonly rawArgs: string;
  /** Parsed and validated; what a person edited when they approved with other arguments. */
  readonly args: Json | undefined;
  readonly outcome: ToolOutcome | undefined;
  readonly output: Json | undefined;
  /** How it failed; before that, why it cannot run. */
  readonly error: Fault | undefined;
  /** Of a call that a person has to allow. */
  readonly approval: CallApproval | undefined;
}

/** What a person is asked about a call, and said. */
export interface CallApproval {
  /** Of the arguments that are to run: an approval is good for these alone. */
  readonly argsHash: string;
  /** From this moment on nobody can approve it any more, ms since 1970. */
  readonly expiresAt: number | undefined;
  /** What the person said who approved it. */
  readonly answer: string | undefined;
}

/** A call whose arguments still stream. For display only: it counts when its message is complete. */
export interface StreamingCall {
  readonly index: number;
  readonly callId: string;
  readonly providerCallId: string;
  readonly name: string;
  readonly args: string;
}

/** The answer as far as it has come. */
export interface PartialAnswer {
  readonly messageId: string;
  readonly attempt: number;
  /** Text of the cut message that this answer continues; it stands at the head of `text`. */
  readonly base: string;
  readonly text: string;
  readonly reasoning: string;
  readonly calls: readonly StreamingCall[];
}

/** An accepted input that the model has not heard yet. */
export interface WaitingInput {
  readonly id: string;
  readonly text: string;
  /** `step`: at the next step boundary. `done`: after the turn. */
  readonly queue: "step" | "done";
  readonly seq: number;
  /** Whose trace it came from. */
  readonly caller?: TraceHeaders | undefined;
}

export interface InterruptInfo {
  /** Of the first `interrupt` event. */
  readonly seq: number;
  readonly by: string;
  readonly reason: string;
  readonly mode: InterruptMode;
  /** The chart's state when it was asked for. */
  readonly where: string;
  readonly cause: number;
  /** The redirecting input, if it is one. */
  readonly redirect: string | undefined;
}

/** A request that is made again. */
export interface Retry {
  readonly step: number;
  readonly attempt: number;
  /** Of the wait before it; undefined for at once. */
  readonly delayMs?: number | undefined;
  /** When that ends, ms since 1970. */
  readonly dueAt?: number | undefined;
}

/** Everything but what a delta changes. Internal: read the state through its getters. */
export interface Core {
  readonly start: EventData<"run_start"> | undefined;
  readonly runId: string;
  readonly value: string;
  readonly context: ChartContext;
  readonly history: Timeline<Message>;
  /** The assistant message of the open step and the results of its calls, placeholders included. */
  readonly tail: readonly Message[];
  readonly settledCalls: Timeline<ToolCallState>;
  readonly calls: readonly ToolCallState[];
  readonly inputs: readonly WaitingInput[];
  readonly inputIds: Timeline<{ readonly id: string; readonly seq: number }>;
  readonly usage: RunUsage;
  readonly error: Fault | undefined;
  readonly interrupt: InterruptInfo | undefined;
  readonly limit: EventData<"limit"> | undefined;
  readonly policy: PartialPolicy;
  /** The cut message at the end of the history, while the policy of the next resume can still change it. */
  readonly cut: { readonly messageId: string; readonly attempt: number; readonly text: string } | undefined;
  readonly retry: Retry | undefined;
  readonly control: Control;
  /** Whose trace this turn belongs to, where it is another one than that of the run. */
  readonly caller: TraceHeaders | undefined;
  /** The same of the turn that begins once the stop is over: who resumed the run meanwhile. */
  readonly nextCaller: TraceHeaders | undefined;
  /** Recoveries in a row that found the run at work and did not get it any further. */
  readonly recoveries: number;
  readonly output: string;
  /** The chained hash of the first `count` messages. */
  readonly hashed: { readonly count: number; readonly hash: Hash };
}

const NO_USAGE: RunUsage = { inputTokens: 0, outputTokens: 0, requests: 0, unknownRequests: 0 };

const EMPTY_CORE: Core = {
  start: undefined,
  runId: "",
  value: "idle",
  context: INITIAL_CONTEXT,
  history: emptyTimeline(),
  tail: [],
  settledCalls: emptyTimeline(),
  calls: [],
  inputs: [],
  inputIds: emptyTimeline(),
  usage: NO_USAGE,
  error: undefined,
  interrupt: undefined,
  limit: undefined,
  policy: "keep",
  cut: undefined,
  retry: undefined,
  control: NO_CONTROL,
  caller: undefined,
  nextCaller: undefined,
  recoveries: 0,
  output: "",
  hashed: { count: 0, hash: EMPTY_HASH },
};

/**
 * A core with the three parts that every control event makes anew; all else is taken over. Written out field by field: a known shape is copied
 * in a fraction of the time that spreading an object takes, and this runs for every control event.
 */
export function nextCore(
  core: Core,
  value: string,
  context: ChartContext,
  calls: readonly ToolCallState[],
): { -readonly [Key in keyof Core]: Core[Key] } {
  return {
    start: core.start,
    runId: core.runId,
    value,
    context,
    history: core.history,
    tail: core.tail,
    settledCalls: core.settledCalls,
    calls,
    inputs: core.inputs,
    inputIds: core.inputIds,
    usage: core.usage,
    error: core.error,
    interrupt: core.interrupt,
    limit: core.limit,
    policy: core.policy,
    cut: core.cut,
    retry: core.retry,
    control: core.control,
    caller: core.caller,
    nextCaller: core.nextCaller,
    recoveries: core.recoveries,
    output: core.output,
    hashed: core.hashed,
  };
}

/**
 * The state of a run after some event: a value that never changes. Only `step()` makes new ones. Versions share storage inside; an older
 * version never shows later items. It is a class for its getters alone: `messages` and `toolCalls` are put together when somebody reads them,
 * so that a token costs no copy of the history.
 */
export class AgentState {
  /** Of the last event folded in. 0 before the first. */
  readonly seq: number;
  /** Internal. */
  readonly core: Core;
  /** Internal, as the two below: the answer that streams, but for what its latest tokens made of its texts. So a token makes one object, not two. */
  readonly answer: PartialAnswer | undefined;
  readonly answerText: string;
  readonly answerReasoning: string;

  constructor(
    core: Core,
    seq: number,
    answer: PartialAnswer | undefined,
    text = answer === undefined ? "" : answer.text,
    reasoning = answer === undefined ? "" : answer.reasoning,
  ) {
    this.seq = seq;
    this.core = core;
    this.answer = answer;
    this.answerText = text;
    this.answerReasoning = reasoning;
  }

  /** The answer that streams now. */
  get partial(): PartialAnswer | undefined {
    const { answer, answerText: text, answerReasoning: reasoning } = this;
    if (answer === undefined || (answer.text === text && answer.reasoning === reasoning)) return answer;
    const { messageId, attempt, base, calls } = answer;
    return { messageId, attempt, base, text, reasoning, calls };
  }

  get runId(): string {
    return this.core.runId;
  }

  /** The chart's state as a path, such as `thinking.streaming`. */
  get value(): string {
    return this.core.value;
  }

  get status(): Status {
    return statusOfValue(this.core.value);
  }

  /** Turns begun, from 1; 0 before the first. */
  get turn(): number {
    return this.core.context.turn;
  }

  /** Model requests begun in the whole run, retries of a request counted once. */
  get step(): number {
    return this.core.context.step;
  }

  get interruptRequested(): boolean {
    return this.core.context.interrupt !== "none";
  }

  /** The conversation as the model would get it now: valid for a provider at every moment. An array of its own at every read. */
  get messages(): Message[] {
    const messages = itemsOf(this.core.history);
    for (const message of this.core.tail) messages.push(message);
    const { partial } = this;
    if (partial !== undefined && partial.base !== "") {
      // The cut message that the coming answer continues: the model has to read where it stopped.
      messages.push({ role: "assistant", content: partial.base, messageId: partial.messageId, cut: true });
    }
    return messages;
  }

  /** Every call of the run by `callId`, settled or not, in order. */
  get toolCalls(): ReadonlyMap<string, ToolCallState> {
    const calls = new Map<string, ToolCallState>();
    for (const call of itemsOf(this.core.settledCalls)) calls.set(call.callId, call);
    for (const call of this.core.calls) calls.set(call.callId, call);
    return calls;
  }

  /** Accepted inputs that the model has not heard yet, oldest first. */
  get inputs(): readonly WaitingInput[] {
    return this.core.inputs;
  }

  get usage(): RunUsage {
    return this.core.usage;
  }

  /** Why the last turn failed, or what the model's last error was. */
  get error(): Fault | undefined {
    return this.core.error;
  }

  /** The limit that the run rests at. */
  get limit(): EventData<"limit"> | undefined {
    return this.core.limit;
  }

  /** The request that waits to be made again: its attempt, and when that is due (ms since 1970; undefined for at once). */
  get retry(): { readonly attempt: number; readonly dueAt: number | undefined } | undefined {
    const { retry, value } = this.core;
    return retry === undefined || value !== "thinking.backoff"
      ? undefined
      : { attempt: retry.attempt, dueAt: retry.dueAt };
  }

  /** Calls that wait for a person to approve or reject them, in call order. */
  get pendingApprovals(): readonly ToolCallState[] {
    return this.core.calls.filter((call) => call.phase === "awaiting_approval");
  }

  /** Tools whose further calls in this run a person has approved beforehand. */
  get allowedTools(): readonly string[] {
    return this.core.control.allowed;
  }

  /** Calls that were executing in a process that lost the run, and whose outcome nobody has told yet. */
  get orphans(): readonly ToolCallState[] {
    return this.core.calls.filter((call) => call.phase === "orphaned");
  }

  /** Text of the last complete answer. */
  get output(): string {
    return this.core.output;
  }
}

export function initialState(): AgentState {
  return new AgentState(EMPTY_CORE, 0, undefined);
}

function statusOfValue(value: string): Status {
  if (value === "acting.awaiting_approval") return "waiting";
  const top = value.split(".", 1)[0];
  switch (top) {
    case "thinking":
    case "acting":
    case "interrupted":
    case "done":
    case "failed":
    case "cancelled":
      return top;
    default:
      return "idle";
  }
}

/** Where the run stands, its step, and the names of the tools that execute now: all that a status line needs. */
export function statusOf(state: AgentState): { status: Status; step: number; activeTools: string[] } {
  return {
    status: state.status,
    step: state.step,
    activeTools: state.core.calls.filter((call) => call.phase === "running").map((call) => call.name),
  };
}

/** True when nothing will happen until a person or a program says something. */
export function isAtRest(state: AgentState): boolean {
  return isRest(state.core.value, state.core.context);
}

/** The same of the chart alone. */
export function isRest(value: string, context: ChartContext): boolean {
  switch (value) {
    case "done":
      return context.after === 0;
    case "idle":
    case "failed":
    case "cancelled":
    case "interrupted.paused":
    case "acting.awaiting_approval":
      return true;
    default:
      return false;
  }
}

/** The whole state as canonical JSON: the same log gives the same bytes in any process. */
export function encodeState(state: AgentState): string {
  const { core } = state;
  return canonical({
    seq: state.seq,
    start: core.start,
    value: core.value,
    context: core.context,
    messages: state.messages,
    toolCalls: [...state.toolCalls.values()],
    partial: state.partial,
    inputs: core.inputs,
    inputIds: itemsOf(core.inputIds),
    usage: core.usage,
    error: core.error,
    interrupt: core.interrupt,
    limit: core.limit,
    policy: core.policy,
    cut: core.cut,
    retry: core.retry,
    ...(core.control === NO_CONTROL ? {} : { control: core.control }),
    ...(core.caller === undefined ? {} : { caller: core.caller }),
    ...(core.nextCaller === undefined ? {} : { nextCaller: core.nextCaller }),
    recoveries: core.recoveries,
    output: core.output,
  });
}
