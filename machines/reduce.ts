import { callerIn, callerOfResume, callerOfTurn, type CallersBefore } from "./caller.ts";
import type { ChartMove } from "./chart-table.ts";
import { concernsControl, reduceControlOf } from "./control.ts";
import type { ChartContext } from "./agent-rules.ts";
import type { EffectName } from "./agent.ts";
import { isCut, type Event, type EventData, type EventOf, type RunUsage, type Usage } from "./events.ts";
import { OVER_LIMIT } from "./limits.ts";
import { isObjectText, type Message } from "./messages.ts";
import {
  AgentState,
  isRest,
  nextCore,
  type Core,
  type PartialAnswer,
  type StreamingCall,
  type ToolCallState,
} from "./state.ts";
import { hashHistory, UNHASHED } from "./state-hash.ts";
import { append, withoutLast } from "./timeline.ts";

/**
 * The data half of the state: pure functions that fold an event, already accepted by the charts, into the next version.
 *
 * R8 The message list stays valid at every event: a message with calls enters together with one placeholder per call, and a result only
 *    replaces its placeholder. So results stand in call order, whatever order they come in.
 */

type Move = ChartMove<ChartContext, EffectName>;

/** One empty list for all: it is in every state between two steps. */
const NONE: readonly never[] = [];

/** A copy of the core that nobody has seen yet: it is changed in place, then it is a value like all others. */
type Draft = { -readonly [Key in keyof Core]: Core[Key] };

/** Folds a control event. `calls` are the calls of the open step after the tool-call chart took the event. */
export function reduceControl(
  state: AgentState,
  event: Event,
  move: Move,
  calls: readonly ToolCallState[],
): AgentState {
  const before = state.core;
  const core: Draft = nextCore(before, move.value, move.context, calls);
  if (move.context.turn !== before.context.turn) {
    core.limit = undefined;
    core.error = undefined;
    core.interrupt = undefined;
    core.recoveries = 0;
    core.caller = callerOfTurn(event, callersOf(before));
    core.nextCaller = undefined;
  } else if (event.type === "resume") core.nextCaller = callerOfResume(event.data, callersOf(before));
  let partial = state.partial;

  if (isProgress(event)) core.recoveries = 0;
  if (concernsControl(before.control, event)) {
    core.control = reduceControlOf(before.control, event, {
      newTurn: move.context.turn !== before.context.turn,
      wasAtRest: isRest(before.value, before.context),
      atRest: isRest(core.value, core.context),
      tool: event.type === "approval" ? nameOf(calls, event.data.callId) : undefined,
    });
  }
  switch (event.type) {
    case "run_start":
      core.start = event.data;
      core.runId = event.runId;
      core.history = append(core.history, event.data.messages ?? []);
      break;
    case "user_input":
      addInput(core, before.context, event);
      break;
    case "input_delivered":
      partial = takeInput(core, partial, event.data);
      break;
    case "thinking":
      partial = openAnswer(partial, event.data);
      core.cut = undefined;
      core.retry = undefined;
      core.error = undefined;
      // Until its message says otherwise, what a request used is unknown: also of one that is cut before it said anything.
      core.usage = withRequest(core.usage);
      break;
    case "message":
      addMessage(core, event.data);
      partial = undefined;
      break;
    case "tool_result":
      addResult(core, event.data);
      break;
    case "interrupt":
      core.interrupt = interruptInfo(before, event);
      break;
    case "interrupted":
      partial = undefined;
      core.interrupt = undefined;
      core.hashed = hashHistory(core);
      break;
    case "owner":
      core.recoveries = event.data.recoveries;
      if (event.data.why === "fork" && core.value === "interrupted.draining")
        core.interrupt ??= forkInfo(before, event);
      if (partial === undefined || !lostRequest(before.value, core.value)) break;
      // The request is made again. What it had said stays in the log alone, as what a superseded attempt said.
      core.retry = { step: core.context.step, attempt: partial.attempt + 1 };
      partial = superseded(partial);
      break;
    case "resume":
      core.policy = event.data.partial;
      break;
    case "retry":
      core.retry = {
        step: event.data.step,
        attempt: event.data.attempt,
        delayMs: event.data.delayMs,
        dueAt: event.timestamp + event.data.delayMs,
      };
      core.usage = withSpent(core.usage, event.data);
      partial = superseded(partial);
      break;
    case "retry_due":
      if (core.retry !== undefined) core.retry = { step: core.retry.step, attempt: core.retry.attempt };
      break;
    case "error":
      core.error = { code: event.data.code, message: event.data.message };
      break;
    case "limit":
      core.limit = event.data;
      break;
    case "failed":
      partial = undefined;
      core.error = event.data.error;
      core.hashed = hashHistory(core);
      break;
    case "done":
    case "cancelled":
      partial = undefined;
      core.hashed = hashHistory(core);
      break;
    default:
      break;
  }

  if (leftStop(before.value, core.value)) partial = applyPolicy(core, partial);
  return new AgentState(core, event.seq, partial);
}

/** Folds a delta. The caller has checked that it belongs to the answer that streams (R4). */
export function reduceDelta(core: Core, state: AgentState, event: EventOf<"token_stream">): AgentState {
  const { answer, answerText, answerReasoning } = state;
  const { kind, text } = event.data;
  return kind === "text"
    ? new AgentState(core, event.seq, answer, answerText + text, answerReasoning)
    : new AgentState(core, event.seq, answer, answerText, answerReasoning + text);
}

export function reduceCallDelta(core: Core, partial: PartialAnswer, event: EventOf<"tool_call_delta">): AgentState {
  const { index, callId, providerCallId, name, args } = event.data;
  const known = partial.calls.find((call) => call.index === index);
  const call: StreamingCall = {
    index,
    callId,
    providerCallId: providerCallId ?? known?.providerCallId ?? "",
    name: name ?? known?.name ?? "",
    args: (known?.args ?? "") + args,
  };
  let calls: readonly StreamingCall[] = [call];
  if (known !== undefined) calls = partial.calls.map((other) => (other === known ? call : other));
  else if (partial.calls.length > 0) calls = [...partial.calls, call].sort((a, b) => a.index - b.index);
  return new AgentState(core, event.seq, {
    messageId: partial.messageId,
    attempt: partial.attempt,
    base: partial.base,
    text: partial.text,
    reasoning: partial.reasoning,
    calls,
  });
}

function addInput(core: Draft, before: ChartContext, event: EventOf<"user_input">): void {
  const { id, text } = event.data;
  const queue = core.context.after > before.after ? "done" : "step";
  const caller = callerIn(event.data);
  const { seq } = event;
  core.inputs = [...core.inputs, caller === undefined ? { id, text, queue, seq } : { id, text, queue, seq, caller }];
  core.inputIds = append(core.inputIds, [{ id, seq: event.seq }]);
}

function callersOf({ inputs, nextCaller }: Core): CallersBefore {
  return { callerOfInput: (id) => inputs.find((input) => input.id === id)?.caller, nextCaller };
}

/** An input is no longer waiting: the model hears it, or never will. */
function takeInput(
  core: Draft,
  partial: PartialAnswer | undefined,
  { id, delivered }: EventData<"input_delivered">,
): PartialAnswer | undefined {
  const input = core.inputs.find((waiting) => waiting.id === id);
  core.inputs = core.inputs.filter((waiting) => waiting.id !== id);
  if (!delivered) return partial;
  let open = partial;
  if (open !== undefined && open.text !== "") {
    // A reopened message that an input follows after all: it stays as the cut message that it was.
    core.history = append(core.history, [cutMessage(open)]);
    open = undefined;
  }
  if (input !== undefined) {
    core.history = append(core.history, [{ role: "user", content: input.text, inputId: input.id }]);
    core.cut = undefined;
  }
  return open;
}

function nameOf(calls: readonly ToolCallState[], callId: string): string | undefined {
  return calls.find((call) => call.callId === callId)?.name;
}

/** What a request had said that is made again stays in the log alone; the cut message that it continues stays. */
function superseded(partial: PartialAnswer | undefined): PartialAnswer | undefined {
  if (partial === undefined || partial.base === "") return undefined;
  return { ...partial, text: partial.base, reasoning: "", calls: NONE };
}

/** The answer of a new request: empty, or the reopened text of the message that it continues. A retry drops what the attempt before said. */
function openAnswer(partial: PartialAnswer | undefined, data: EventData<"thinking">): PartialAnswer {
  const base = partial !== undefined && partial.messageId === data.messageId ? partial.base : "";
  return { messageId: data.messageId, attempt: data.attempt, base, text: base, reasoning: "", calls: NONE };
}

function cutMessage(partial: { readonly messageId: string; readonly text: string }): Message {
  return { role: "assistant", content: partial.text, messageId: partial.messageId, cut: true };
}

function addMessage(core: Draft, data: EventData<"message">): void {
  const { messageId, attempt, text, calls, usage } = data;
  core.usage = withSpent(addUsage(core.usage, usage), data);
  if (isCut(data)) {
    if (text === "") return;
    core.history = append(core.history, [cutMessage({ messageId, text })]);
    core.cut = { messageId, attempt, text };
    return;
  }
  if (calls.length === 0) {
    core.output = text;
    if (text !== "") core.history = append(core.history, [{ role: "assistant", content: text, messageId }]);
    return;
  }
  const toolCalls = calls.every((call) => isObjectText(call.args))
    ? calls
    : calls.map((call) => (isObjectText(call.args) ? call : { ...call, args: "{}" }));
  core.tail = [{ role: "assistant", content: text, messageId, toolCalls }, ...calls.map(placeholder)];
}

function placeholder({ callId, name }: { readonly callId: string; readonly name: string }): Message {
  return { role: "tool", callId, name, content: "(no result yet)", outcome: "open" };
}

function addUsage(total: RunUsage, usage: EventData<"message">["usage"]): RunUsage {
  if (usage === "unknown") return total;
  return counted(
    total,
    total.inputTokens + usage.inputTokens,
    total.outputTokens + usage.outputTokens,
    total.requests,
    total.unknownRequests - 1,
  );
}

function withRequest(total: RunUsage): RunUsage {
  const { inputTokens, outputTokens, requests, unknownRequests } = total;
  return counted(total, inputTokens, outputTokens, requests + 1, unknownRequests + 1);
}

/** Written out: most runs have neither an estimate nor a cost, and this is made twice a step. */
function counted(
  { estimated, cost }: RunUsage,
  inputTokens: number,
  outputTokens: number,
  requests: number,
  unknownRequests: number,
): RunUsage {
  const told = { inputTokens, outputTokens, requests, unknownRequests };
  if (estimated === undefined && cost === undefined) return told;
  return { ...told, ...(estimated === undefined ? {} : { estimated }), ...(cost === undefined ? {} : { cost }) };
}

/** What was only estimated stands apart; a cost is known or estimated, as its tokens are. */
function withSpent(
  total: RunUsage,
  { estimate, cost }: { readonly estimate?: Usage | undefined; readonly cost?: number | undefined },
): RunUsage {
  if (estimate === undefined && cost === undefined) return total;
  const { estimated } = total;
  return {
    ...total,
    ...(estimate === undefined
      ? {}
      : {
          estimated: {
            inputTokens: (estimated?.inputTokens ?? 0) + estimate.inputTokens,
            outputTokens: (estimated?.outputTokens ?? 0) + estimate.outputTokens,
          },
        }),
    ...(cost === undefined ? {} : { cost: (total.cost ?? 0) + cost }),
  };
}

function addResult(core: Draft, data: EventData<"tool_result">): void {
  const { callId, outcome } = data;
  const tail = core.tail.slice();
  for (let index = 0; index < tail.length; index++) {
    const message = tail[index];
    if (message?.role !== "tool" || message.callId !== callId) continue;
    tail[index] = { role: "tool", callId, name: message.name, content: resultText(data), outcome };
  }
  if (core.calls.some((call) => call.outcome === undefined)) {
    core.tail = tail;
    return;
  }
  core.history = append(core.history, tail);
  core.tail = NONE;
  core.settledCalls = append(core.settledCalls, core.calls);
  core.calls = NONE;
}

/** What the model reads of a call. */
function resultText({ outcome, output, error }: EventData<"tool_result">): string {
  switch (outcome) {
    case "ok":
      return typeof output === "string" ? output : JSON.stringify(output ?? null);
    case "error":
      return `Error: ${error?.message ?? "the tool failed"}`;
    case "rejected":
      return `Rejected by a person${error === undefined ? "" : `: ${error.message}`}. It did not run.`;
    case "skipped":
      if (error?.code === OVER_LIMIT) return `Skipped: ${error.message}. It did not run.`;
      return "Skipped: the run was interrupted before this call started. It did not run.";
    case "aborted":
      if (error?.code === "not_begun")
        return "Aborted: the run was interrupted before this call began. It did not run.";
      return "Aborted: the run was interrupted while this call ran. It may have had part of its effect.";
    case "timeout":
      return `Timeout: ${error?.message ?? "the tool took too long"}. It may have had part of its effect.`;
    case "unknown":
      return "Unknown: this call was started and nobody knows how it ended. It may have had its effect.";
  }
}

function interruptInfo({ interrupt, value }: Core, event: EventOf<"interrupt">): Core["interrupt"] {
  const { by, reason, mode, redirect } = event.data;
  return {
    seq: interrupt?.seq ?? event.seq,
    by,
    reason,
    mode,
    where: interrupt?.where ?? value,
    cause: event.cause ?? event.seq,
    redirect,
  };
}

/** A request was out whose process lost the run, and it is to be made again. */
function lostRequest(before: string, after: string): boolean {
  return after === "thinking.preparing" && (before === "thinking.requesting" || before === "thinking.streaming");
}

/** What shows that a recovered run got further: an answer, a result, something new that was said. */
function isProgress(event: Event): boolean {
  switch (event.type) {
    case "user_input":
    case "approval":
      return true;
    case "message":
      return !isCut(event.data);
    case "tool_result":
      return event.data.outcome === "ok" || event.data.outcome === "error" || event.data.outcome === "timeout";
    default:
      return false;
  }
}

/** A fork of a run at work stops it there, as an interrupt would. */
function forkInfo({ value }: Core, { seq }: Event): Core["interrupt"] {
  return { seq, by: "fork", reason: "forked", mode: "now", where: value, cause: seq, redirect: undefined };
}

function leftStop(before: string, after: string): boolean {
  return (before.startsWith("interrupted.") || before === "failed") && after.startsWith("thinking.");
}

/** What becomes of the cut message when the run goes on. `continue` needs that nothing was said after it. */
function applyPolicy(core: Draft, partial: PartialAnswer | undefined): PartialAnswer | undefined {
  const { cut, policy } = core;
  core.policy = "keep";
  core.cut = undefined;
  if (cut === undefined || policy === "keep") return partial;
  if (policy === "continue" && core.context.next > 0) return partial;
  core.history = withoutLast(core.history);
  core.hashed = UNHASHED;
  if (policy === "discard") return partial;
  const { messageId, attempt, text } = cut;
  return { messageId, attempt, base: text, text, reasoning: "", calls: [] };
}
