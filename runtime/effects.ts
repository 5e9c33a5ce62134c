import type { EffectName } from "../machines/agent.ts";
import { derive } from "../machines/derive.ts";
import type { Event } from "../machines/events.ts";
import { milliseconds, type Clock } from "./clock.ts";
import type { Head } from "./head.ts";
import { callModel, type ModelCall } from "./model-call.ts";
import type { ChatModel, ToolDescription } from "./models/chat-model.ts";
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
}

export interface EffectsOptions {
  readonly head: () => Head;
  readonly clock: Clock;
  readonly model: ChatModel;
  readonly instructions: string;
  readonly tools: readonly ToolDescription[];
  readonly toolCalls: () => ToolCalls;
  readonly graceMs: number;
  /** Counts what is in flight, so that closing can wait for it. */
  readonly tasks: Pick<Tasks, "enter" | "leave">;
}

export function createEffects(options: EffectsOptions): Effects {
  const { clock, model } = options;
  let call: ModelCall | undefined;
  let interruptedAt = 0;
  let graceMs = options.graceMs;

  function request(event: Event): void {
    const head = options.head();
    const { state } = head;
    // The run was stopped between the announcement and its becoming durable: then nothing is sent.
    if (event.type !== "thinking" || state.value !== "thinking.requesting") return;
    if (state.partial?.messageId !== event.data.messageId || state.partial.attempt !== event.data.attempt) return;
    options.tasks.enter();
    call = callModel({
      head,
      clock,
      model,
      request: { instructions: options.instructions, messages: state.messages, tools: options.tools },
      thinking: event,
      tasks: options.tasks,
    });
  }

  return {
    perform(effect, event) {
      const head = options.head();
      switch (effect) {
        case "request":
          request(event);
          return;
        case "announce":
          if (event.type === "message") options.toolCalls().announce(event);
          return;
        case "salvage":
          options.toolCalls().salvage(event.seq);
          return;
        case "execute":
          if (event.type === "tool_start") options.toolCalls().execute(event);
          return;
        case "abort_model":
          call?.abort();
          call = undefined;
          return;
        case "abort_tools":
          options.toolCalls().abort(graceMs);
          return;
        case "schedule_retry":
        case "cancel_timers":
          // No retry is ever recorded by this shell, so there is no timer either.
          return;
        default: {
          if (effect === "dispatch" && !head.state.core.calls.some((open) => open.phase === "refused")) {
            options.toolCalls().dispatch(event.seq);
            return;
          }
          const interruptedForMs =
            head.state.core.interrupt === undefined ? 0 : milliseconds(clock.monotonic() - interruptedAt);
          const drafts = derive(head.state, effect, { model: model.name, interruptedForMs });
          if (drafts.length > 0) head.record(drafts, event.seq);
          if (effect === "dispatch") options.toolCalls().dispatch(event.seq);
        }
      }
    },
    noteInterrupt(grace) {
      if (!options.head().state.interruptRequested) interruptedAt = clock.monotonic();
      graceMs = grace ?? options.graceMs;
    },
    noteRecovery() {
      interruptedAt = clock.monotonic();
    },
    abandon() {
      call?.abort();
      options.toolCalls().abort(options.graceMs);
    },
  };
}
