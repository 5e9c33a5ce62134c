import { respond, type Command } from "../machines/command.ts";
import type { Draft, EventData } from "../machines/events.ts";
import type { AgentState } from "../machines/state.ts";
import type { Tool } from "../tools/tool.ts";
import type { Bus } from "./bus.ts";
import type { Clock } from "./clock.ts";
import { createEffects } from "./effects.ts";
import { RubatoError } from "./errors.ts";
import type { Head } from "./head.ts";
import { openHead } from "./log-head.ts";
import type { EventLog } from "./log/event-log.ts";
import type { ChatModel, ToolDescription } from "./models/chat-model.ts";
import { ownerDraft } from "./recovery.ts";
import type { Redact } from "./redact.ts";
import type { Receipt } from "./run.ts";
import type { Tasks } from "./tasks.ts";
import { createToolCalls, type ToolCalls } from "./tool-calls.ts";

/** What a run needs to work, beside its log. */
export interface OwnerSetup<Context> {
  readonly runId: string;
  readonly log: EventLog;
  readonly clock: Clock;
  readonly model: ChatModel;
  readonly instructions: string;
  readonly tools: ReadonlyMap<string, Tool<Context>>;
  readonly descriptions: readonly ToolDescription[];
  readonly context: Context;
  readonly toolConcurrency: number;
  readonly toolTimeoutMs: number;
  readonly graceMs: number;
  readonly logTimeoutMs: number;
  readonly redact: Redact | undefined;
  /** Called when the run comes to rest, and when it leaves its rest. */
  readonly onRest: (atRest: boolean) => void;
  /** The log failed, or another owner has the run. */
  readonly onFailure: () => void;
}

/** A run's owner: the process that appends to its log, and runs its effects. */
export interface Owner {
  readonly head: Head;
  readonly epoch: number;
  /** Decides what a command means now and records it. Resolves when it is durable. */
  command(asked: Command, graceMs?: number): Promise<Receipt>;
  /** Records the first events of a run. */
  begin(drafts: readonly Draft[]): void;
  /** Records that this owner took over, together with what `after` asks of the state that it finds then. */
  takeOver(
    why: EventData<"owner">["why"],
    after: (state: AgentState) => Command | undefined,
    graceMs?: number,
  ): Promise<Receipt>;
  /** Tells executing calls to stop within a shorter grace. */
  hurry(graceMs: number): void;
}

interface OwnerParts<Context> {
  readonly setup: OwnerSetup<Context>;
  readonly bus: Bus;
  readonly tasks: Tasks;
  readonly epoch: number;
  readonly state: AgentState;
}

export function createOwner<Context>({ setup, bus, tasks, epoch, state }: OwnerParts<Context>): Owner {
  const { runId, log, clock } = setup;
  const head: Head = openHead({
    runId,
    log,
    clock,
    epoch,
    state,
    logTimeoutMs: setup.logTimeoutMs,
    redact: setup.redact,
    publish: bus.publish,
    perform: (effect, event) => {
      effects.perform(effect, event);
    },
    onFailure: () => {
      effects.abandon();
      setup.onFailure();
    },
    onRest(atRest) {
      if (atRest) toolCalls.rest();
      setup.onRest(atRest);
    },
  });
  const toolCalls: ToolCalls = createToolCalls<Context>({
    head,
    clock,
    tools: setup.tools,
    context: setup.context,
    concurrency: setup.toolConcurrency,
    timeoutMs: setup.toolTimeoutMs,
    graceMs: setup.graceMs,
    redact: setup.redact,
    interrupt: async (reason) => command({ type: "interrupt", by: "tool", reason, mode: "step" }),
    noteInterrupt() {
      effects.noteInterrupt(undefined);
    },
    tasks,
  });
  const effects = createEffects({
    head: () => head,
    toolCalls: () => toolCalls,
    clock,
    model: setup.model,
    instructions: setup.instructions,
    tools: setup.descriptions,
    graceMs: setup.graceMs,
    tasks,
  });

  /** The seq that a command was recorded at, or why it was not. */
  function decide(asked: Command, graceMs: number | undefined): Receipt {
    const answer = respond(head.state, asked);
    if (!answer.accepted) return answer;
    if (answer.drafts.some((draft) => draft.type === "interrupt")) effects.noteInterrupt(graceMs);
    const seq = answer.drafts.length === 0 ? answer.seq : head.record(answer.drafts);
    return seq === undefined ? { accepted: false, reason: "refused" } : { accepted: true, seq };
  }

  async function stored(receipt: Receipt): Promise<Receipt> {
    if (!receipt.accepted) return receipt;
    try {
      await head.durable(receipt.seq);
    } catch (error) {
      return { accepted: false, reason: error instanceof RubatoError ? error.code : "log" };
    }
    return receipt;
  }

  async function command(asked: Command, graceMs?: number): Promise<Receipt> {
    if (head.failure !== undefined) return { accepted: false, reason: head.failure.code };
    return stored(decide(asked, graceMs));
  }

  return {
    head,
    epoch,
    command,
    begin(drafts) {
      if (drafts.some((draft) => draft.type === "interrupt")) effects.noteInterrupt(undefined);
      head.record(drafts);
    },
    async takeOver(why, after, graceMs) {
      const receipt = head.atomically((): Receipt => {
        // An interrupt that the last owner left behind counts from here: its clock was another.
        effects.noteRecovery();
        const seq = head.record([ownerDraft(head.state, { epoch, who: `process ${process.pid}`, why })]);
        if (seq === undefined) return { accepted: false, reason: head.failure?.code ?? "refused" };
        const asked = after(head.state);
        return asked === undefined ? { accepted: true, seq } : decide(asked, graceMs);
      });
      return stored(receipt);
    },
    hurry(graceMs) {
      if (head.state.value === "interrupted.draining") toolCalls.abort(graceMs);
    },
  };
}
