import { isCut, type Event, type EventData, type EventOf } from "../../../machines/events.ts";
import { isAtRest, type AgentState, type ToolCallState } from "../../../machines/state.ts";
import type { EndReason } from "../protocol.ts";
import { messageIdOf, questionId, resultOf, whyInterrupted } from "../spoken.ts";
import type { Translator } from "../translation.ts";

/**
 * A run as a UI message stream of the AI SDK (v1): one assistant message per stretch of work, from what begins it to the rest that ends it. A rest in
 * which a person is asked ends the stream, not the message: the answer goes on in the same one.
 *
 * | rubato | UI message chunk |
 * |---|---|
 * | the stream begins | `start`, the same `messageId` in every stream of the stretch |
 * | `thinking` of a new step | `finish-step` of the one before, `start-step` |
 * | `token_stream` | `text-start`, `text-delta`, or `reasoning-*` |
 * | `tool_call_delta` | `tool-input-start`, `tool-input-delta` (the id is our `callId`, unique in the chat) |
 * | `message` | what deltas did not bring, and the ends |
 * | `tool_call` (valid arguments) | `tool-input-available` |
 * | `approval_request` | `tool-approval-request`, its id `CALLID:HASH` of the arguments |
 * | `approval` with edited arguments | `tool-input-available` with those |
 * | `tool_result` ok | `tool-output-available` |
 * | `tool_result` rejected | `tool-output-denied` |
 * | `tool_result` of arguments that are not valid | `tool-input-error` |
 * | `tool_result` of any other outcome | `tool-output-error`, its text what the model reads |
 * | `custom` | `data-NAME`; data with an `id` of its own replaces the part of that id |
 * | `input_delivered` in the middle of the stretch | `data-rubato-input`: where in the message it was heard |
 * | `retry`, `owner` after a crash | see below; `data-rubato-retry` where it had said something |
 * | `limit` | `data-rubato-limit` |
 * | `tool_progress`, `error`, a late `tool_result`, `interrupt`, `gap` | transient `data-rubato-TYPE`: for `onData`, not in the message |
 * | `resume`, `deadline`, the rest | nothing |
 * | rest: done | `finish` (`stop`, or `length`) |
 * | rest: waiting | `finish` (`tool-calls`) |
 * | rest: interrupted, at a limit, owned by nobody, cancelled | `abort` with the reason, never `finish` |
 * | rest: failed | `error` |
 * | the stream ends and the run goes on | `abort`; `resumeStream()` (GET .../stream) has the rest |
 *
 * The metadata of the message have `rubato: { runId, status }` at the end, with `ended` where the stream ended before the run rested.
 *
 * **Taking back.** This protocol has no word for it: parts only grow. So the text of an attempt that is made again is closed with the provider metadata
 * `rubato: { superseded: true }`, for the display to leave out, and the new attempt is a part of its own; a stream that begins later (a reload, a
 * reconnect) leaves it out. With `?whole=true` nothing is shown before its message is complete: then nothing is ever taken back, and nothing streams.
 */

/** A UI message chunk: plain JSON. */
export type UiChunk = { readonly type: string } & Readonly<Record<string, unknown>>;

export interface UiRequest {
  readonly messageId: string;
  /** Attempts, as `MESSAGEID ATTEMPT`, that were taken back already when the stream begins. */
  readonly superseded: ReadonlySet<string>;
  /** Text, reasoning and arguments only when their message is complete. */
  readonly whole: boolean;
  /** Only what comes now: the client has the message up to here. */
  readonly goesOn: boolean;
}

type Kind = "text" | "reasoning";

export class UiTranslator implements Translator {
  private readonly request: UiRequest;
  /** The parts that are open, by id. That of the text stays open until its message is complete: only what is open can be marked. */
  private readonly open: { text: string | undefined; reasoning: string | undefined } = {
    text: undefined,
    reasoning: undefined,
  };
  private parts = 0;
  /** What of the answer that streams was said: its texts and the arguments of its calls. */
  private said = { text: "", reasoning: "" };
  private readonly args = new Map<string, string>();
  private readonly names = new Map<string, string>();
  /** Calls whose input is complete. */
  private readonly inputs = new Set<string>();
  private readonly asked = new Set<string>();
  private stepOpen = false;
  private step = 0;
  private finish: EventData<"message">["finish"] = "stop";
  private stopped: string | undefined;

  constructor(request: UiRequest) {
    this.request = request;
  }

  begin(state: AgentState): readonly UiChunk[] {
    if (this.request.goesOn) {
      this.stepOpen = true;
      this.step = state.step;
      for (const { callId, args, approval } of state.core.calls) {
        if (args !== undefined) this.inputs.add(callId);
        if (approval !== undefined) this.asked.add(callId);
      }
    }
    const { messageId } = this.request;
    return [{ type: "start", messageId }];
  }

  take(event: Event, before: AgentState, after: AgentState): readonly UiChunk[] {
    switch (event.type) {
      case "thinking":
        return this.thinking(event, after);
      case "token_stream":
        return this.hidden(event.data) ? [] : this.token(event);
      case "tool_call_delta":
        return this.hidden(event.data) ? [] : this.callDelta(event);
      case "message":
        return this.message(event);
      case "tool_call":
        return [this.input(event.data.callId, event.data.name, event.data.args)];
      case "approval_request":
        return this.ask(event.data);
      case "approval":
        return this.approval(event.data, after);
      case "tool_result":
        return event.data.late === true ? [transient("late-result", event.data)] : this.result(event.data, after);
      case "custom":
        return [dataPart(event.data)];
      case "input_delivered":
        return this.heard(event.data, before);
      case "retry":
      case "owner":
        return this.takeBack(event, before, after);
      case "limit":
        return [{ type: "data-rubato-limit", data: event.data }];
      case "tool_progress":
        return [transient("tool-progress", event.data)];
      case "error":
        return [transient("error", event.data)];
      case "interrupt":
        return [transient("interrupt", event.data)];
      case "gap":
        return [transient("gap", event.data)];
      case "interrupted":
        this.stopped = whyInterrupted(after, event.data);
        return this.dropAnswer(SUPERSEDED);
      case "done":
      case "failed":
      case "cancelled":
        return this.dropAnswer(SUPERSEDED);
      default:
        return [];
    }
  }

  end(state: AgentState, reason: EndReason): readonly UiChunk[] {
    const said = this.dropAnswer();
    // Complete, and not checked yet.
    for (const { callId, name, rawArgs, outcome } of state.core.calls)
      if (outcome === undefined && !this.inputs.has(callId)) said.push(this.input(callId, name, parsed(rawArgs)));
    said.push(...this.finishStep());
    const works = !isAtRest(state) && reason !== "rest";
    const status = works ? "working" : isAtRest(state) ? state.status : "interrupted";
    const metadata = { rubato: { runId: state.runId, status, ...(works ? { ended: reason } : {}) } };
    const told: UiChunk = { type: "message-metadata", messageMetadata: metadata };
    if (works) return [...said, told, { type: "abort", reason: `The stream ended (${reason}) and the run goes on.` }];
    switch (status) {
      case "done": {
        const finishReason = this.finish === "length" ? "length" : "stop";
        return [...said, { type: "finish", finishReason, messageMetadata: metadata }];
      }
      case "waiting":
        return [...said, { type: "finish", finishReason: "tool-calls", messageMetadata: metadata }];
      case "failed":
        return [...said, told, { type: "error", errorText: state.error?.message ?? "The run failed." }];
      case "cancelled":
        return [...said, told, { type: "abort", reason: "It was cancelled." }];
      default:
        return [...said, told, { type: "abort", reason: this.stopped ?? whyInterrupted(state) }];
    }
  }

  /** Taken back by what is in the log already, or not to be shown before it is complete. */
  private hidden({ messageId, attempt }: { readonly messageId: string; readonly attempt: number }): boolean {
    return this.request.whole || this.request.superseded.has(`${messageId} ${attempt}`);
  }

  private thinking({ data }: EventOf<"thinking">, after: AgentState): UiChunk[] {
    // What it continues was said as a part of its own.
    this.said = { text: after.partial?.base ?? "", reasoning: "" };
    this.args.clear();
    if (this.stepOpen && this.step === data.step) return [];
    const said = this.finishStep();
    this.stepOpen = true;
    this.step = data.step;
    return [...said, { type: "start-step" }];
  }

  private token({ data }: EventOf<"token_stream">): UiChunk[] {
    return data.text === "" ? [] : this.words(data.kind, data.text);
  }

  private words(kind: Kind, delta: string): UiChunk[] {
    const said = kind === "text" ? this.closePart("reasoning") : [];
    const id = this.open[kind] ?? `${this.step}.${kind}.${++this.parts}`;
    if (this.open[kind] === undefined) said.push({ type: `${kind}-start`, id });
    this.open[kind] = id;
    this.said[kind] += delta;
    said.push({ type: `${kind}-delta`, id, delta });
    return said;
  }

  private callDelta({ data }: EventOf<"tool_call_delta">): UiChunk[] {
    const told = this.args.get(data.callId);
    if (told === undefined && data.name === undefined) return [];
    const said: UiChunk[] = [];
    said.push(...this.closePart("reasoning"));
    if (told === undefined) said.push({ type: "tool-input-start", toolCallId: data.callId, toolName: data.name });
    if (data.name !== undefined) this.names.set(data.callId, data.name);
    this.args.set(data.callId, (told ?? "") + data.args);
    if (data.args !== "") said.push({ type: "tool-input-delta", toolCallId: data.callId, inputTextDelta: data.args });
    return said;
  }

  private message({ data }: EventOf<"message">): UiChunk[] {
    const said: UiChunk[] = [];
    const { reasoning = "", text } = data;
    if (
      reasoning.startsWith(this.said.reasoning) &&
      reasoning.length > this.said.reasoning.length &&
      this.said.text === ""
    )
      said.push(...this.words("reasoning", reasoning.slice(this.said.reasoning.length)));
    if (text.startsWith(this.said.text) && text.length > this.said.text.length)
      said.push(...this.words("text", text.slice(this.said.text.length)));
    said.push(...this.closeParts());
    this.finish = data.finish;
    const kept = new Set(isCut(data) ? [] : data.calls.map(({ callId }) => callId));
    said.push(...this.dropCalls(kept, "The answer was cut before this call was complete. It did not run."));
    return said;
  }

  private input(toolCallId: string, toolName: string, input: unknown): UiChunk {
    this.inputs.add(toolCallId);
    return { type: "tool-input-available", toolCallId, toolName, input };
  }

  private ask({ callId, argsHash }: EventData<"approval_request">): UiChunk[] {
    this.asked.add(callId);
    return [{ type: "tool-approval-request", approvalId: questionId(callId, argsHash), toolCallId: callId }];
  }

  private approval({ callId, decision, args }: EventData<"approval">, after: AgentState): UiChunk[] {
    if (decision === "reject" || args === undefined) return [];
    return [this.input(callId, callOf(after, callId)?.name ?? "", args)];
  }

  private result({ callId, outcome, output, error }: EventData<"tool_result">, after: AgentState): UiChunk[] {
    const said: UiChunk[] = [];
    if (!this.inputs.has(callId)) {
      const call = callOf(after, callId);
      const toolName = call?.name ?? "";
      const raw = call?.rawArgs ?? "";
      if (outcome === "error") {
        const errorText = error?.message ?? resultOf(after, callId);
        return [{ type: "tool-input-error", toolCallId: callId, toolName, input: raw, errorText }];
      }
      said.push(this.input(callId, toolName, parsed(raw)));
    }
    if (outcome === "ok") said.push({ type: "tool-output-available", toolCallId: callId, output: output ?? null });
    else if (outcome === "rejected" && this.asked.has(callId))
      said.push({ type: "tool-output-denied", toolCallId: callId });
    else said.push({ type: "tool-output-error", toolCallId: callId, errorText: resultOf(after, callId) });
    return said;
  }

  private heard({ id, delivered }: EventData<"input_delivered">, before: AgentState): UiChunk[] {
    const input = before.inputs.find((waiting) => waiting.id === id);
    if (!delivered || input === undefined || !this.stepOpen) return [];
    const data = { id: messageIdOf(before, id), text: input.text };
    return [{ type: "data-rubato-input", id: data.id, data }];
  }

  private takeBack(event: EventOf<"retry" | "owner">, before: AgentState, after: AgentState): UiChunk[] {
    const { partial } = before;
    const lost =
      partial !== undefined && (after.partial === undefined || after.partial.text.length < partial.text.length);
    if (event.type === "owner" && !lost) return [];
    const spoke = this.said.text !== (partial?.base ?? "") || this.said.reasoning !== "" || this.args.size > 0;
    const said = this.closeParts(SUPERSEDED);
    this.said = { text: "", reasoning: "" };
    // A call of the next attempt has the same id and takes the place of the one that is taken back.
    said.push(...this.dropCalls(new Set(), "The answer that asked for this call is made again. It did not run."));
    if (spoke) said.push({ type: "data-rubato-retry", data: event.data });
    return said;
  }

  /** An answer that ended without its message. */
  private dropAnswer(mark?: Marked): UiChunk[] {
    return [
      ...this.closeParts(mark),
      ...this.dropCalls(new Set(), "The answer was cut before this call was complete. It did not run."),
    ];
  }

  /** Half calls that will not be made. */
  private dropCalls(kept: ReadonlySet<string>, errorText: string): UiChunk[] {
    const said: UiChunk[] = [];
    for (const [toolCallId, args] of this.args) {
      if (kept.has(toolCallId)) continue;
      said.push({
        type: "tool-input-error",
        toolCallId,
        toolName: this.names.get(toolCallId) ?? "",
        input: args,
        errorText,
      });
    }
    this.args.clear();
    return said;
  }

  private closePart(kind: Kind, mark?: Marked): UiChunk[] {
    const id = this.open[kind];
    this.open[kind] = undefined;
    return id === undefined ? [] : [{ type: `${kind}-end`, id, ...mark }];
  }

  private closeParts(mark?: Marked): UiChunk[] {
    return [...this.closePart("reasoning", mark), ...this.closePart("text", mark)];
  }

  private finishStep(): UiChunk[] {
    if (!this.stepOpen) return [];
    this.stepOpen = false;
    return [...this.closeParts(), { type: "finish-step" }];
  }
}

interface Marked {
  readonly providerMetadata: { readonly rubato: { readonly superseded: true } };
}
/** On what was said and does not count. */
const SUPERSEDED: Marked = { providerMetadata: { rubato: { superseded: true } } };

function callOf({ core }: AgentState, callId: string): ToolCallState | undefined {
  const open = core.calls.find((call) => call.callId === callId);
  if (open !== undefined) return open;
  const { items, length } = core.settledCalls;
  // The last of a step settles all of them.
  for (let at = length - 1; at >= 0; at--) if (items[at]?.callId === callId) return items[at];
  return undefined;
}

function parsed(raw: string): unknown {
  try {
    return JSON.parse(raw);
  } catch {
    return raw;
  }
}

function dataPart({ name, data }: EventData<"custom">): UiChunk {
  const id = typeof data === "object" && data !== null && "id" in data ? data["id"] : undefined;
  return { type: `data-${name}`, ...(typeof id === "string" ? { id } : {}), data };
}

function transient(name: string, data: unknown): UiChunk {
  return { type: `data-rubato-${name}`, data, transient: true };
}
