import { isCut, type Event, type EventData, type EventOf, type Json } from "../../../machines/events.ts";
import { isAtRest, type AgentState, type PartialAnswer } from "../../../machines/state.ts";
import type { EndReason } from "../protocol.ts";
import { messageIdOf, resultOf, whyInterrupted, type Said } from "../spoken.ts";
import type { Translator } from "../translation.ts";
import { interruptsOf } from "./interrupts.ts";
import { isObject, patchOf } from "./json-patch.ts";
import { messagesOf, resultId, type AguiMessage } from "./messages.ts";
import { sharedState } from "./shared-state.ts";

/**
 * A run in AG-UI 1.0. A thread is a run; what AG-UI calls a run is one answered request: from what it says to the next rest.
 *
 * | rubato | AG-UI |
 * |---|---|
 * | the stream begins | `RUN_STARTED`, `MESSAGES_SNAPSHOT` where the run has said something before, `STATE_SNAPSHOT` |
 * | `thinking` of a new step | `STEP_FINISHED` of the one before, `STEP_STARTED` (`step N`) |
 * | `token_stream` | `TEXT_MESSAGE_*` (the message id is the run's) or `REASONING_*` (`MESSAGEID.reasoning`) |
 * | `tool_call_delta` | `TOOL_CALL_START`, `TOOL_CALL_ARGS` (the id is our `callId`, unique in the thread; the parent is the message) |
 * | `message` | what deltas did not bring (a pruned range), and the ends of all three |
 * | `message` that was cut | the same; half calls are taken back |
 * | `retry`, `owner` after a crash, `resume` with `discard` | what was said and does not count is taken back by a `MESSAGES_SNAPSHOT` without it |
 * | `tool_result` | `TOOL_CALL_RESULT`, its content what the model reads, its outcome in the metadata |
 * | `input_delivered` of what others said | `TEXT_MESSAGE_*` with role `user`; what the request itself brought is there already |
 * | `custom` | `CUSTOM` of the same name |
 * | what a control event changes in the state | `STATE_DELTA` below `/rubato` (shared-state.ts) |
 * | `interrupt`, `interrupted`, `resume`, `input_delivered`, `approval`, `retry`, `error`, `limit`, `deadline`, `owner`, `gap`, `tool_progress`, a late `tool_result` | `CUSTOM` `rubato.TYPE` with the event's data as value |
 * | rest: done | `RUN_FINISHED`, outcome success, `result: { output }`, usage as far as providers told it |
 * | rest: waiting | outcome interrupt: one per call that waits, its id `CALLID:HASH` of the arguments |
 * | rest: interrupted, at a limit, owned by nobody | outcome interrupt: one `stopped:SEQ`, and one per call whose outcome nobody knows |
 * | rest: cancelled | outcome cancelled |
 * | rest: failed | `RUN_ERROR` with the fault's code |
 * | the stream ends and the run goes on (`max_connection`, `shutdown`, `superseded`, `log`) | `RUN_ERROR` with that code: the same request again attaches to the run |
 *
 * A fork is a run: its copied past is its history. AG-UI has no word that takes text back, so the snapshot does; reasoning, which a snapshot without any
 * leaves alone, stands in it as empty, and the next attempt fills it anew.
 */

/** An event of AG-UI: plain JSON, no field of it null. */
export type AguiEvent = { readonly type: string } & Readonly<Record<string, unknown>>;

export interface AguiRequest {
  /** The run. */
  readonly threadId: string;
  /** The name of this answer, echoed. */
  readonly runId: string;
  /** What the client shows already of what people said, by id. */
  readonly known: ReadonlySet<string>;
  /** What this request says: the client shows it, and the run has not heard it when the stream begins. */
  readonly said?: Said | undefined;
  /** The client's own state: it is kept beside ours. */
  readonly state?: Json | undefined;
  /** Reasoning that the client has, in full: a snapshot that holds any has to hold all. */
  readonly reasoning: readonly AguiMessage[];
  /** Said first: what of the request is not heeded. */
  readonly notices: readonly { readonly name: string; readonly value: Json }[];
}

/** The answer that streams, as far as the client has it. */
interface Shown {
  readonly messageId: string;
  /** What stands before the text of this attempt: it is not taken back with it. */
  readonly base: string;
  text: string;
  reasoning: string;
  readonly calls: Map<string, { args: string; open: boolean }>;
}

export class AguiTranslator implements Translator {
  private readonly request: AguiRequest;
  private known: ReadonlySet<string>;
  private answer: Shown | undefined;
  private textOpen = false;
  private reasoningOpen = false;
  private step: string | undefined;
  private shared: Json = {};
  private readonly reasoning = new Map<string, string>();
  /** Why it was stopped, where this stream saw it. */
  private stopped: string | undefined;
  /** Told usage by model: what nobody told is not 0, and not here. */
  private readonly usage = new Map<string, { inputTokens: number; outputTokens: number }>();
  private model = "";

  constructor(request: AguiRequest) {
    this.request = request;
    this.known = request.known;
    for (const { id, content } of request.reasoning) this.reasoning.set(id, content);
  }

  begin(state: AgentState): readonly AguiEvent[] {
    const { threadId, runId, state: own, notices } = this.request;
    const { partial } = state;
    const said: AguiEvent[] = [{ type: "RUN_STARTED", threadId, runId, protocolVersion: "1.0" }];
    if (partial !== undefined) {
      this.answer = shownOf(partial);
      if (partial.reasoning !== "") this.reasoning.set(reasoningId(partial.messageId), partial.reasoning);
    }
    if (partial !== undefined || messagesOf(state).length > 0) said.push(this.snapshot(state));
    this.shared = sharedState(state);
    said.push({ type: "STATE_SNAPSHOT", snapshot: { ...(isObject(own) ? own : {}), rubato: this.shared } });
    return [...said, ...notices.map(({ name, value }) => custom(name, value))];
  }

  take(event: Event, before: AgentState, after: AgentState): readonly AguiEvent[] {
    switch (event.type) {
      case "token_stream":
        return this.token(event);
      case "tool_call_delta":
        return this.callDelta(event);
      case "tool_progress":
        return [notice(event)];
      case "custom":
        return [custom(event.data.name, event.data.data)];
      default:
        return [...this.control(event, before, after), ...this.stateDelta(after)];
    }
  }

  end(state: AgentState, reason: EndReason): readonly AguiEvent[] {
    const said = [...this.close(), ...this.finishStep()];
    if (!isAtRest(state) && reason !== "rest") {
      const message = "The stream ended here and the run goes on. The same request again attaches to it.";
      return [...said, { type: "RUN_ERROR", message, code: reason }];
    }
    const usage = [...this.usage].map(([model, told]) => ({ model, ...told }));
    const told = usage.length === 0 ? {} : { usage };
    const finished = (fields: Readonly<Record<string, unknown>>): AguiEvent => ({
      type: "RUN_FINISHED",
      threadId: this.request.threadId,
      runId: this.request.runId,
      ...fields,
      ...told,
    });
    switch (state.status) {
      case "done":
        return [...said, finished({ outcome: { type: "success" }, result: { output: state.output } })];
      case "cancelled":
        return [...said, finished({ outcome: { type: "cancelled" } })];
      case "failed": {
        const { code, message } = state.error ?? { code: "unknown", message: "The run failed." };
        return [...said, { type: "RUN_ERROR", message, code, ...told }];
      }
      default: {
        const why = this.stopped ?? (state.status === "interrupted" ? whyInterrupted(state) : NOT_RUNNING);
        return [...said, finished({ outcome: { type: "interrupt", interrupts: interruptsOf(state, why) } })];
      }
    }
  }

  private control(event: Event, before: AgentState, after: AgentState): AguiEvent[] {
    switch (event.type) {
      case "thinking":
        return this.thinking(event, after);
      case "message":
        return this.message(event, after);
      case "tool_result":
        return event.data.late === true ? [notice(event)] : [toolResult(after, event.data)];
      case "input_delivered":
        return [...this.takeBack(before, after), ...this.heard(before, event.data), notice(event)];
      case "interrupted":
        this.stopped = whyInterrupted(after, event.data);
        return [...this.takeBack(before, after), notice(event)];
      case "retry":
      case "owner":
      case "resume":
      case "interrupt":
      case "approval":
      case "error":
      case "limit":
      case "deadline":
      case "gap":
        return [...this.takeBack(before, after), notice(event)];
      default:
        return this.takeBack(before, after);
    }
  }

  private thinking({ data }: EventOf<"thinking">, after: AgentState): AguiEvent[] {
    this.model = data.model;
    const said = this.close();
    const { partial } = after;
    this.answer = partial === undefined ? undefined : shownOf(partial);
    const step = `step ${data.step}`;
    if (this.step === step) return said;
    said.push(...this.finishStep(), { type: "STEP_STARTED", stepName: step });
    this.step = step;
    return said;
  }

  private token({ data }: EventOf<"token_stream">): AguiEvent[] {
    const { answer } = this;
    if (answer === undefined || data.text === "") return [];
    return data.kind === "text" ? this.text(answer, data.text) : this.thought(answer, data.text);
  }

  private text(answer: Shown, delta: string): AguiEvent[] {
    const { messageId } = answer;
    const said = this.closeReasoning();
    if (!this.textOpen) said.push({ type: "TEXT_MESSAGE_START", messageId, role: "assistant" });
    this.textOpen = true;
    answer.text += delta;
    said.push({ type: "TEXT_MESSAGE_CONTENT", messageId, delta });
    return said;
  }

  private thought(answer: Shown, delta: string): AguiEvent[] {
    const messageId = reasoningId(answer.messageId);
    const said: AguiEvent[] = [];
    if (!this.reasoningOpen) {
      said.push({ type: "REASONING_START", messageId });
      said.push({ type: "REASONING_MESSAGE_START", messageId, role: "reasoning" });
    }
    this.reasoningOpen = true;
    answer.reasoning += delta;
    this.reasoning.set(messageId, (this.reasoning.get(messageId) ?? "") + delta);
    said.push({ type: "REASONING_MESSAGE_CONTENT", messageId, delta });
    return said;
  }

  private callDelta({ data }: EventOf<"tool_call_delta">): AguiEvent[] {
    const { answer } = this;
    if (answer === undefined) return [];
    const known = answer.calls.get(data.callId);
    // One without a name yet is told when it has one, or when its message is complete.
    if (known === undefined && data.name === undefined) return [];
    return this.call(answer, data.callId, data.name ?? "", data.args);
  }

  private call(answer: Shown, callId: string, name: string, args: string): AguiEvent[] {
    const said = this.closeReasoning();
    const known = answer.calls.get(callId) ?? { args: "", open: false };
    if (!known.open) {
      said.push({
        type: "TOOL_CALL_START",
        toolCallId: callId,
        toolCallName: name,
        parentMessageId: answer.messageId,
      });
    }
    known.open = true;
    known.args += args;
    answer.calls.set(callId, known);
    if (args !== "") said.push({ type: "TOOL_CALL_ARGS", toolCallId: callId, delta: args });
    return said;
  }

  private message({ data }: EventOf<"message">, after: AgentState): AguiEvent[] {
    this.tell(data);
    const answer = this.answer ?? emptyAnswer(data.messageId);
    const said: AguiEvent[] = [];
    let differs = !data.text.startsWith(answer.text);
    if (!differs && data.text.length > answer.text.length)
      said.push(...this.text(answer, data.text.slice(answer.text.length)));
    const asked = new Set<string>();
    for (const { callId, name, args } of isCut(data) ? [] : data.calls) {
      asked.add(callId);
      const told = answer.calls.get(callId)?.args ?? "";
      if (args.startsWith(told)) said.push(...this.call(answer, callId, name, args.slice(told.length)));
      else differs = true;
    }
    for (const callId of answer.calls.keys()) if (!asked.has(callId)) differs = true;
    said.push(...this.close());
    this.answer = undefined;
    if (differs) said.push(this.snapshot(after));
    return said;
  }

  /** What the client was shown and the conversation no longer has. */
  private takeBack(before: AgentState, after: AgentState): AguiEvent[] {
    const { answer } = this;
    const { partial } = after;
    let gone = false;
    const said: AguiEvent[] = [];
    if (
      answer !== undefined &&
      (partial === undefined || partial.attempt !== before.partial?.attempt || emptied(before, after))
    ) {
      said.push(...this.close());
      gone = answer.text !== answer.base || answer.reasoning !== "" || answer.calls.size > 0;
      if (answer.reasoning !== "") this.reasoning.set(reasoningId(answer.messageId), "");
      this.answer = partial === undefined ? undefined : shownOf(partial);
    }
    // The text of a cut answer was discarded. One that is continued stands at the head of the answer to come.
    if (after.core.history.length < before.core.history.length && partial === undefined) gone = true;
    if (gone) said.push(this.snapshot(after));
    return said;
  }

  private heard(before: AgentState, { id, delivered }: EventData<"input_delivered">): AguiEvent[] {
    const messageId = messageIdOf(before, id);
    const input = before.inputs.find((waiting) => waiting.id === id);
    if (!delivered || input === undefined || this.known.has(messageId)) return [];
    return [
      { type: "TEXT_MESSAGE_START", messageId, role: "user" },
      { type: "TEXT_MESSAGE_CONTENT", messageId, delta: input.text },
      { type: "TEXT_MESSAGE_END", messageId },
    ];
  }

  private tell({ usage }: EventData<"message">): void {
    if (usage === "unknown") return;
    const told = this.usage.get(this.model) ?? { inputTokens: 0, outputTokens: 0 };
    told.inputTokens += usage.inputTokens;
    told.outputTokens += usage.outputTokens;
    this.usage.set(this.model, told);
  }

  /** The client shows this and nothing else. */
  private snapshot(state: AgentState): AguiEvent {
    const messages = messagesOf(state);
    const { said } = this.request;
    if (said !== undefined && !messages.some(({ id }) => id === said.id))
      messages.push({ id: said.id, role: "user", content: said.text });
    this.known = new Set(messages.flatMap(({ id, role }) => (role === "user" ? [id] : [])));
    for (const [id, content] of this.reasoning) messages.push({ id, role: "reasoning", content });
    return { type: "MESSAGES_SNAPSHOT", messages };
  }

  private stateDelta(after: AgentState): AguiEvent[] {
    const shared = sharedState(after);
    const delta = patchOf(this.shared, shared, "/rubato");
    this.shared = shared;
    return delta.length === 0 ? [] : [{ type: "STATE_DELTA", delta }];
  }

  private closeReasoning(): AguiEvent[] {
    if (!this.reasoningOpen || this.answer === undefined) return [];
    this.reasoningOpen = false;
    const messageId = reasoningId(this.answer.messageId);
    return [
      { type: "REASONING_MESSAGE_END", messageId },
      { type: "REASONING_END", messageId },
    ];
  }

  /** Ends everything of the answer that is open. */
  private close(): AguiEvent[] {
    const said = this.closeReasoning();
    const { answer } = this;
    if (answer === undefined) return said;
    if (this.textOpen) said.push({ type: "TEXT_MESSAGE_END", messageId: answer.messageId });
    this.textOpen = false;
    for (const [toolCallId, call] of answer.calls) {
      if (call.open) said.push({ type: "TOOL_CALL_END", toolCallId });
      call.open = false;
    }
    return said;
  }

  private finishStep(): AguiEvent[] {
    const { step } = this;
    this.step = undefined;
    return step === undefined ? [] : [{ type: "STEP_FINISHED", stepName: step }];
  }
}

const NOT_RUNNING = "It is stopped, and nobody runs it. Resume it to go on.";

function shownOf({ messageId, base, text, reasoning, calls }: PartialAnswer): Shown {
  const named = calls.filter(({ name }) => name !== "");
  return {
    messageId,
    base,
    text,
    reasoning,
    calls: new Map(named.map(({ callId, args }) => [callId, { args, open: false }])),
  };
}

function emptyAnswer(messageId: string): Shown {
  return { messageId, base: "", text: "", reasoning: "", calls: new Map() };
}

/** The same attempt is not asked any more: what it said was reduced to what it continues. */
function emptied(before: AgentState, after: AgentState): boolean {
  const { partial } = after;
  return partial !== undefined && before.partial !== undefined && partial.text.length < before.partial.text.length;
}

function reasoningId(messageId: string): string {
  return `${messageId}.reasoning`;
}

function toolResult(state: AgentState, { callId, outcome }: EventData<"tool_result">): AguiEvent {
  return {
    type: "TOOL_CALL_RESULT",
    messageId: resultId(callId),
    toolCallId: callId,
    content: resultOf(state, callId),
    role: "tool",
    metadata: { outcome },
  };
}

function notice(event: Event): AguiEvent {
  return custom(`rubato.${event.type === "tool_result" ? "late_result" : event.type}`, event.data);
}

function custom(name: string, value: unknown): AguiEvent {
  return { type: "CUSTOM", name, value };
}
