import type { EffectName } from "../machines/agent.ts";
import { seal } from "../machines/derive.ts";
import type { Draft, Event } from "../machines/events.ts";
import { initialState, type AgentState } from "../machines/state.ts";
import { step } from "../machines/step.ts";
import type { Tool } from "../tools/tool.ts";
import type { Approvals } from "./approvals.ts";
import type { Clock } from "./clock.ts";
import { createEffects } from "./effects.ts";
import { ModelWatch } from "./model-watch.ts";
import { eventOf } from "./event-of.ts";
import type { Head } from "./head.ts";
import type { ChatModel } from "./models/chat-model.ts";
import { createToolCalls } from "./tool-calls.ts";
import { Valve } from "./valve.ts";

/** What of an agent decides which events it records, the model and the outcomes of tools left aside. */
export interface AgentDefinition {
  readonly model: Pick<ChatModel, "name">;
  readonly instructions: string;
  readonly tools: ReadonlyMap<string, Tool>;
  readonly toolConcurrency: number;
  readonly toolTimeoutMs: number;
  readonly graceMs: number;
  readonly approvals: Approvals<unknown>;
}

/**
 * The shell of a live run without its hands: today's effects, tool schemas and scheduling, which say what they would record. No request is
 * made, no tool runs, no timer is set (P7).
 */
export interface RecordedShell {
  /** The events that an effect of `event` leads to at once in this state, as the next ones of the log. None for effects that only touch the world. */
  act(state: AgentState, effect: EffectName, event: Event): Promise<Foreseen>;
  /** The events that these drafts are in this state. Ends at the first that `step()` refuses, as a batch does. */
  place(state: AgentState, drafts: readonly Draft[], cause?: number): readonly Event[];
}

export interface Foreseen {
  readonly events: readonly Event[];
  /** They come some time after the effect: what else is due at once goes before them. */
  readonly late: boolean;
}

const NOTHING: Foreseen = { events: [], late: false };

/** These touch the world; what comes of them stands in the log. */
const HANDS: ReadonlySet<EffectName> = new Set<EffectName>([
  "request",
  "execute",
  "abort_model",
  "abort_tools",
  "schedule_retry",
  "cancel_timers",
]);

const STILL: Clock = { now: () => 0, monotonic: () => 0, timer: () => () => {} };

const SILENT: Pick<ChatModel, "stream"> = {
  stream() {
    throw new TypeError("unreachable: a recorded shell makes no request");
  },
};

export function recordedShell(runId: string, definition: AgentDefinition): RecordedShell {
  const { instructions, tools, toolConcurrency, toolTimeoutMs, graceMs } = definition;
  const head = new ForeseeingHead(runId);
  let late: Promise<unknown>[] = [];
  const tasks = {
    adopt(_name: string, work: Promise<unknown>) {
      late.push(work);
    },
    enter() {},
    leave() {},
  };
  const toolCalls = createToolCalls<unknown>({
    head,
    clock: STILL,
    tools,
    context: undefined,
    concurrency: toolConcurrency,
    timeoutMs: toolTimeoutMs,
    graceMs,
    // What was recorded was redacted before.
    redact: undefined,
    approvals: definition.approvals,
    propagate: false,
    owner: { interruptByTool: () => Promise.resolve({ accepted: false, reason: "settled" }), noteInterrupt() {} },
    tasks,
  });
  const effects = createEffects(
    {
      head,
      clock: STILL,
      models: [{ ...SILENT, name: definition.model.name }],
      prices: {},
      watch: new ModelWatch(STILL, { firstByteMs: 0, idleMs: 0, totalMs: 0 }),
      retry: { decide: () => ({ do: "fail" }) },
      instructions,
      propagate: false,
      descriptions: [],
      graceMs,
      valve: new Valve(STILL),
      tasks,
    },
    toolCalls,
  );
  return {
    async act(state, effect, event) {
      if (HANDS.has(effect)) return NOTHING;
      head.begin(state);
      effects.perform(effect, event);
      const isLate = late.length > 0;
      // Schemas with asynchronous checks.
      while (late.length > 0) {
        const waiting = late;
        late = [];
        await Promise.all(waiting);
      }
      return { events: head.foreseen, late: isLate };
    },
    place(state, drafts, cause) {
      head.begin(state);
      head.record(drafts, cause);
      return head.foreseen;
    },
  };
}

/** A head that steps what is recorded and keeps it to itself. */
class ForeseeingHead implements Head {
  readonly runId: string;
  state = initialState();
  foreseen: Event[] = [];
  readonly atRest = false;
  readonly failure = undefined;
  readonly crowded = false;

  constructor(runId: string) {
    this.runId = runId;
  }

  begin(state: AgentState): void {
    this.state = state;
    this.foreseen = [];
  }

  get durableSeq(): number {
    return this.state.seq;
  }

  get publishedSeq(): number {
    return this.state.seq;
  }

  get nextSeq(): number {
    return this.state.seq + 1;
  }

  record(drafts: readonly Draft[], cause?: number): number | undefined {
    let first: number | undefined;
    for (const draft of drafts) {
      const event = eventOf(seal(this.state, draft), {
        seq: this.nextSeq,
        timestamp: 0,
        runId: this.runId,
        cause: draft.cause ?? cause ?? first,
      });
      const result = step(this.state, event);
      if (!result.accepted) break;
      first ??= event.seq;
      this.state = result.state;
      this.foreseen.push(event);
    }
    return first;
  }

  atomically<T>(work: () => T): T {
    return work();
  }

  delta(): boolean {
    return false;
  }

  token(): boolean {
    return false;
  }

  flush(): void {}

  durable(): Promise<void> {
    return Promise.resolve();
  }

  volatileAfter(): readonly Event[] {
    return [];
  }

  onProgress(): () => void {
    return () => {};
  }

  onStored(): () => void {
    return () => {};
  }

  rest<T>(read: () => T): Promise<T> {
    return Promise.resolve(read());
  }

  leave(): void {}
}
