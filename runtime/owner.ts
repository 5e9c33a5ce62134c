import { respond, type Command } from "../machines/command.ts";
import type { EffectName } from "../machines/agent.ts";
import type { Draft, Event, EventData } from "../machines/events.ts";
import type { AgentState } from "../machines/state.ts";
import type { TraceHeaders } from "../machines/trace-context.ts";
import type { Tool } from "../tools/tool.ts";
import type { Price } from "../machines/limits.ts";
import { checkAnswer, isUnfit, type Approvals, type Unfit } from "./approvals.ts";
import type { Bus } from "./bus.ts";
import type { Clock } from "./clock.ts";
import { createEffects, type Effects, type EffectsOptions } from "./effects.ts";
import { RubatoError } from "./errors.ts";
import type { Head, HeadOwner } from "./head.ts";
import { openHead } from "./log-head.ts";
import type { EventLog } from "./log/event-log.ts";
import type { ChatModel, ToolDescription } from "./models/chat-model.ts";
import type { Probe } from "./metrics/probe.ts";
import { ModelWatch, type ModelTimeouts } from "./model-watch.ts";
import { ownerDraft } from "./recovery.ts";
import type { Redact } from "./redact.ts";
import type { RetryPolicy } from "./retry.ts";
import type { Receipt } from "./run.ts";
import type { Tasks } from "./tasks.ts";
import { createToolCalls, type CallsOwner, type ToolCalls, type ToolCallsOptions } from "./tool-calls.ts";
import { WallClock } from "./wall-clock.ts";

/** What a run needs to work. */
export interface OwnerSetup<Context> {
  readonly runId: string;
  readonly models: readonly ChatModel[];
  readonly agent: AgentSetup<Context>;
}

/** What is the same for all runs of an agent. */
export interface AgentSetup<Context> {
  readonly log: EventLog;
  readonly clock: Clock;
  readonly prices: Readonly<Record<string, Price>>;
  readonly timeouts: ModelTimeouts;
  readonly retry: RetryPolicy;
  readonly approvals: Approvals<Context>;
  readonly instructions: string;
  readonly tools: ReadonlyMap<string, Tool<Context>>;
  readonly descriptions: readonly ToolDescription[];
  readonly toolConcurrency: number;
  readonly toolTimeoutMs: number;
  readonly graceMs: number;
  readonly logTimeoutMs: number;
  readonly redact: Redact | undefined;
  /** Whether trace context goes on; undefined: in runs that were begun with it. */
  readonly propagate: boolean | undefined;
  /** Where somebody measures its runs. */
  readonly probe: () => Probe | undefined;
}

export interface TakeOverMore {
  readonly graceMs?: number | undefined;
  /** Whose trace it is: the turn that goes on by itself is linked to it. */
  readonly caller?: TraceHeaders | undefined;
}

/** A run's owner: the process that appends to its log, and runs its effects. */
export interface Owner {
  readonly head: Head;
  readonly epoch: number;
  /** Decides what a command means now and records it. Answers when it is durable, which may be at once. */
  command(asked: Command, graceMs?: number): Receipt | Promise<Receipt>;
  /** Records the first events of a run. */
  begin(drafts: readonly Draft[]): void;
  /** Records that this owner took over, together with what `after` asks of the state that it finds then. */
  takeOver(
    why: EventData<"owner">["why"],
    after: (state: AgentState) => Command | undefined,
    more?: TakeOverMore,
  ): Promise<Receipt>;
  /** Tells executing calls to stop within a shorter grace. */
  hurry(graceMs: number): void;
  /** This process gives the run up, at rest: nothing of it rings any more. */
  leave(): void;
}

interface OwnerParts<Context> {
  readonly setup: OwnerSetup<Context>;
  /** Reaches tools. */
  readonly context: Context;
  readonly bus: Bus;
  readonly tasks: Tasks;
  readonly epoch: number;
  readonly state: AgentState;
  readonly run: OwnersRun;
}

/** The run that an owner works for. */
export interface OwnersRun {
  /** Called when the run comes to rest, and when it leaves its rest. */
  onRest(atRest: boolean): void;
  /** The log failed, or another owner has the run. */
  onFailure(): void;
}

export function createOwner<Context>(parts: OwnerParts<Context>): Owner {
  return new RunsOwner(parts);
}

class RunsOwner<Context> implements Owner, HeadOwner, CallsOwner {
  readonly head: Head;
  readonly epoch: number;
  private readonly agent: AgentSetup<Context>;
  private readonly run: OwnersRun;
  private readonly toolCalls: ToolCalls;
  private readonly effects: Effects;
  private readonly wall: WallClock;

  constructor({ setup, context, bus, tasks, epoch, state, run }: OwnerParts<Context>) {
    const { runId, models, agent } = setup;
    const { log, clock, redact, graceMs } = agent;
    const probe = agent.probe();
    this.epoch = epoch;
    this.agent = agent;
    this.run = run;
    this.head = openHead({
      runId,
      log,
      clock,
      epoch,
      state,
      logTimeoutMs: agent.logTimeoutMs,
      redact,
      probe,
      audience: probe === undefined ? bus : probe.timing(bus),
      owner: this,
    });
    this.wall = new WallClock(this.head, clock);
    // One object for both: each run has its own, and what both need lies in it once.
    const options: EffectsOptions & ToolCallsOptions<Context> = {
      head: this.head,
      clock,
      tasks,
      tools: agent.tools,
      context,
      concurrency: agent.toolConcurrency,
      timeoutMs: agent.toolTimeoutMs,
      graceMs,
      redact,
      approvals: agent.approvals,
      propagate: agent.propagate,
      owner: this,
      valve: bus.valve,
      watch: new ModelWatch(clock, agent.timeouts),
      models,
      prices: agent.prices,
      retry: agent.retry,
      instructions: agent.instructions,
      descriptions: agent.descriptions,
    };
    this.toolCalls = createToolCalls<Context>(options);
    this.effects = createEffects(options, this.toolCalls);
  }

  async interruptByTool(reason: string): Promise<Receipt> {
    return this.command({ type: "interrupt", by: "tool", reason, mode: "step" });
  }

  noteInterrupt(): void {
    this.effects.noteInterrupt(undefined);
  }

  perform(effect: EffectName, event: Event): void {
    this.effects.perform(effect, event);
  }

  onFailure(): void {
    this.effects.abandon();
    this.toolCalls.leave();
    this.wall.rest();
    this.run.onFailure();
  }

  onRest(atRest: boolean): void {
    if (atRest) {
      this.toolCalls.rest();
      this.effects.rest();
      this.wall.rest();
    } else this.wall.work();
    this.run.onRest(atRest);
  }

  /** The seq that a command was recorded at, or why it was not. */
  private decide(asked: Command, graceMs: number | undefined): Receipt {
    const answer = respond(this.head.state, asked);
    if (!answer.accepted) return answer;
    if (answer.drafts.some(isInterrupt)) this.effects.noteInterrupt(graceMs);
    const seq = answer.drafts.length === 0 ? answer.seq : this.head.record(answer.drafts);
    return seq === undefined ? { accepted: false, reason: "refused" } : { accepted: true, seq };
  }

  private async stored(receipt: Receipt): Promise<Receipt> {
    if (!receipt.accepted) return receipt;
    try {
      await this.head.durable(receipt.seq);
    } catch (error) {
      return { accepted: false, reason: error instanceof RubatoError ? error.code : "log" };
    }
    return receipt;
  }

  command(given: Command, graceMs?: number): Receipt | Promise<Receipt> {
    const { failure, state } = this.head;
    if (failure !== undefined) return { accepted: false, reason: failure.code };
    const { tools, redact, clock } = this.agent;
    const checked = checkAnswer(given, state, { tools, redact, now: clock.now() });
    // Only what has to wait does: of all other commands the first that is given is the first that is recorded.
    return checked instanceof Promise ? checked.then((late) => this.take(late, graceMs)) : this.take(checked, graceMs);
  }

  private take(asked: Command | Unfit, graceMs: number | undefined): Receipt | Promise<Receipt> {
    if (isUnfit(asked)) return asked;
    const receipt = this.decide(asked, graceMs);
    // A log in memory has stored it by now: waiting for that would cost a stop several turns of the microtask queue.
    return receipt.accepted && receipt.seq > this.head.durableSeq ? this.stored(receipt) : receipt;
  }

  begin(drafts: readonly Draft[]): void {
    if (drafts.some(isInterrupt)) this.effects.noteInterrupt(undefined);
    this.head.record(drafts);
    this.wall.work();
  }

  async takeOver(
    why: EventData<"owner">["why"],
    after: (state: AgentState) => Command | undefined,
    { graceMs, caller }: TakeOverMore = {},
  ): Promise<Receipt> {
    const { head, epoch } = this;
    const receipt = head.atomically((): Receipt => {
      // An interrupt that the last owner left behind counts from here: its clock was another.
      this.effects.noteRecovery();
      const seq = head.record([ownerDraft(head.state, { epoch, who: `process ${process.pid}`, why }, caller)]);
      if (seq === undefined) return { accepted: false, reason: head.failure?.code ?? "refused" };
      const asked = after(head.state);
      return asked === undefined ? { accepted: true, seq } : this.decide(asked, graceMs);
    });
    this.wall.work();
    return this.stored(receipt);
  }

  leave(): void {
    this.toolCalls.leave();
    this.effects.rest();
    this.wall.rest();
    this.head.leave();
  }

  hurry(graceMs: number): void {
    if (this.head.state.value === "interrupted.draining") this.toolCalls.abort(graceMs);
  }
}

function isInterrupt(draft: Draft): boolean {
  return draft.type === "interrupt";
}
