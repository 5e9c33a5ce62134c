import type { EffectName } from "../machines/agent.ts";
import { derive } from "../machines/derive.ts";
import type { Event } from "../machines/events.ts";
import type { AgentState, ToolCallState } from "../machines/state.ts";
import type { Price } from "../machines/limits.ts";
import { callerOf } from "../machines/caller.ts";
import { headersOut } from "../machines/trace-context.ts";
import { milliseconds, type Clock } from "./clock.ts";
import { RubatoError } from "./errors.ts";
import type { Head } from "./head.ts";
import { callModel, type ModelCall, type ModelCallOptions } from "./model-call.ts";
import type { ChatModel, ModelRequest, ToolDescription } from "./models/chat-model.ts";
import type { Tasks } from "./tasks.ts";
import type { ToolCalls } from "./tool-calls.ts";

/**
 * Runs what `step()` asks for. Effects that only mean further events are derived from the state and recorded; the others touch the world:
 * one model request at a time, and the tool calls.
 *
 * R3 Only a live run has this shell: folding a log runs nothing.
 */
export interface Effects {
  perform(effect: EffectName, event: Event): void;
  /** To be called before an `interrupt` is recorded: its latency counts from here. `graceMs` is what tools get to stop. */
  noteInterrupt(graceMs: number | undefined): void;
  /** The latency of an interrupt that an earlier process recorded counts from here. */
  noteRecovery(): void;
  /** Aborts everything at once, without recording: the log is gone. */
  abandon(): void;
  /** The run is at rest: no request is out, no wait has to end. */
  rest(): void;
}

export interface EffectsOptions extends ModelCallOptions {
  readonly prices: Readonly<Record<string, Price>>;
  readonly instructions: string;
  readonly propagate: boolean | undefined;
  /** Of its tools, as a model is told of them. */
  readonly descriptions: readonly ToolDescription[];
  readonly graceMs: number;
  /** Counts what is in flight, so that closing can wait for it. */
  readonly tasks: Pick<Tasks, "enter" | "leave">;
}

export function createEffects(options: EffectsOptions, toolCalls: ToolCalls): Effects {
  return new RunsEffects(options, toolCalls);
}

/** A class: of many runs at once each has its own, and one object is found sooner than a dozen closures. */
class RunsEffects implements Effects {
  // What every step needs is looked up here and not in the options: of many runs at once each has its own, all somewhere else in memory.
  private readonly head: Head;
  private readonly toolCalls: ToolCalls;
  /** The model whose turn it is, with its price and the number that it has in the state. */
  private model: ChatModel | undefined;
  private price: Price | undefined;
  private modelAt = -1;
  private readonly options: EffectsOptions;
  private readonly clock: Clock;
  private call: ModelCall | undefined;
  private interruptedAt = 0;
  private graceMs: number;
  private cancelBackoff: (() => void) | undefined;

  constructor(options: EffectsOptions, toolCalls: ToolCalls) {
    this.head = options.head;
    this.toolCalls = toolCalls;
    this.options = options;
    this.clock = options.clock;
    this.graceMs = options.graceMs;
  }

  /** A process with fewer models than the one before it stays with its last. */
  private modelFor({ core }: AgentState): ChatModel {
    const at = core.control.model;
    if (this.model !== undefined && this.modelAt === at) return this.model;
    const { models, prices } = this.options;
    const model = models[Math.min(at, models.length - 1)];
    if (model === undefined) throw new RubatoError("internal", "An agent has at least one model.");
    this.model = model;
    this.modelAt = at;
    this.price = Object.hasOwn(prices, model.name) ? prices[model.name] : undefined;
    return model;
  }

  private request(event: Event): void {
    const { options } = this;
    const { state } = this.head;
    // The run was stopped between the announcement and its becoming durable: then nothing is sent.
    if (event.type !== "thinking" || state.value !== "thinking.requesting") return;
    if (state.partial?.messageId !== event.data.messageId || state.partial.attempt !== event.data.attempt) return;
    options.tasks.enter();
    const asked = { model: this.modelFor(state), price: this.price, thinking: event };
    this.call = callModel(options, asked, this.requestOf(state, event.seq));
  }

  private requestOf({ messages, core }: AgentState, seq: number): ModelRequest {
    const { instructions, descriptions: tools, propagate } = this.options;
    const caller = callerOf(core);
    if (!(propagate ?? caller !== undefined)) return { instructions, messages, tools };
    const run = { agent: core.start?.agent.name ?? "", runId: this.head.runId };
    return { instructions, messages, tools, ...headersOut(run, seq, caller) };
  }

  perform(effect: EffectName, event: Event): void {
    const { toolCalls } = this;
    switch (effect) {
      case "request":
        this.request(event);
        return;
      case "announce":
        if (event.type === "message") toolCalls.announce(event);
        return;
      case "salvage":
        toolCalls.salvage(event.seq);
        return;
      case "execute":
        if (event.type === "tool_start") toolCalls.execute(event);
        return;
      case "abort_model":
        this.call?.abort();
        this.call = undefined;
        return;
      case "abort_tools":
        toolCalls.abort(this.graceMs);
        return;
      case "schedule_retry":
        this.scheduleRetry();
        return;
      case "cancel_timers":
        this.cancelBackoff?.();
        this.cancelBackoff = undefined;
        return;
      default:
        this.follow(effect, event);
    }
  }

  /** Also where another process recorded the wait: it ends when it would have ended there. */
  private scheduleRetry(): void {
    const { retry } = this.head.state.core;
    if (retry === undefined) return;
    const { step, attempt, delayMs = 0, dueAt = 0 } = retry;
    const due = (): void => {
      this.cancelBackoff = undefined;
      this.head.record([{ type: "retry_due", data: { step, attempt } }]);
    };
    this.cancelBackoff?.();
    this.cancelBackoff = undefined;
    // A clock that was set back does not make the wait longer than it was to be.
    const left = Math.min(dueAt - this.clock.now(), delayMs);
    if (left <= 0) due();
    else this.cancelBackoff = this.clock.timer(left, due);
  }

  /** Records what an effect stands for. */
  private follow(effect: EffectName, event: Event): void {
    const { head, toolCalls } = this;
    const { calls, interrupt } = head.state.core;
    if (effect === "dispatch" && !calls.some(isRefused)) {
      toolCalls.dispatch(event.seq);
      return;
    }
    const interruptedForMs = interrupt === undefined ? 0 : milliseconds(this.clock.monotonic() - this.interruptedAt);
    const { name } = this.modelFor(head.state);
    const drafts = derive(head.state, effect, { model: name, interruptedForMs, price: this.price });
    if (drafts.length > 0) head.record(drafts, event.seq);
    if (effect === "dispatch") toolCalls.dispatch(event.seq);
  }

  noteInterrupt(grace: number | undefined): void {
    if (!this.head.state.interruptRequested) this.interruptedAt = this.clock.monotonic();
    this.graceMs = grace ?? this.options.graceMs;
  }

  noteRecovery(): void {
    this.interruptedAt = this.clock.monotonic();
  }

  abandon(): void {
    this.call?.abort();
    this.toolCalls.abort(this.options.graceMs);
    this.rest();
  }

  rest(): void {
    this.call = undefined;
    this.options.watch.rest();
    this.cancelBackoff?.();
    this.cancelBackoff = undefined;
  }
}

function isRefused(call: ToolCallState): boolean {
  return call.phase === "refused";
}
