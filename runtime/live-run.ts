import { respond, type Command } from "../machines/command.ts";
import type { Draft, EventData } from "../machines/events.ts";
import { initialState, isAtRest, type AgentState } from "../machines/state.ts";
import type { TraceHeaders } from "../machines/trace-context.ts";
import type { OpenOptions } from "./agent-options.ts";
import { checkAnswer, isUnfit } from "./approvals.ts";
import { createBus, type Bus, type BusSource } from "./bus.ts";
import type { Clock } from "./clock.ts";
import type { SeenHead } from "./current-head.ts";
import { messageOf, RubatoError } from "./errors.ts";
import { followHead, type FollowHead } from "./follow-head.ts";
import { afterwards, goOn, isUnderWay, refusalOf, resumeOf } from "./go-on.ts";
import type { Lane } from "./lane.ts";
import type { EventLog } from "./log/event-log.ts";
import type { ReadAfter } from "./mailbox.ts";
import type { Overflow } from "./overflow.ts";
import type { Found, OwnedRun, RecoverOptions, ResumeWay, RunsAgent, RunSetup, TakeOverReceipt } from "./owned-run.ts";
import { createOwner, type Owner, type OwnersRun } from "./owner.ts";
import { FIRST_INPUT } from "./input-id.ts";
import type { EventPattern } from "./pattern.ts";
import { askOwner, serveInbox, type Answered, type Verb } from "./post.ts";
import { publicRun } from "./public-run.ts";
import { readPublished } from "./reader.ts";
import type { Receipt, Run } from "./run.ts";
import type { RunParts } from "./run-parts.ts";
import type { Listener } from "./subscriber.ts";
import { createTasks, type Tasks, type TasksOwner } from "./tasks.ts";

interface ClaimPlan extends RecoverOptions {
  /** Why a run in this state is not to be taken over after all. */
  readonly unwanted: (state: AgentState) => string | undefined;
  readonly caller: TraceHeaders | undefined;
}

const MAX_BACKGROUND_TASKS = 1_000;

/**
 * A run of this process: one that it owns, or one that it only follows and may come to own.
 *
 * L1 Exactly one head counts at a time. Readers and subscribers stay when it changes: they have nothing but a cursor.
 * L2 A command goes to the owner: this process, or another one through the inbox. Where there is none, this process claims the run first, and only
 *    for a command that the state accepts.
 */
export function createRun<Context>(setup: RunSetup<Context>, found?: Found): OwnedRun<Context> {
  return new LiveRun(setup, found);
}

function answeredHere(here: Receipt): Answered {
  return { here };
}

/** A class: of many runs at once each is one object and not two dozen closures, which every collection would have to look at. */
class LiveRun<Context> implements OwnedRun<Context>, RunParts, OwnersRun, BusSource, TasksOwner {
  readonly runId: string;
  readonly log: EventLog;
  readonly clock: Clock;
  readonly bus: Bus;
  readonly tasks: Tasks;
  readonly run: Run;
  private readonly setup: RunSetup<Context>;
  private readonly agent: RunsAgent<Context>;
  private context: Context;
  /** One of the two is there. */
  private possessed: Owner | undefined;
  private following: FollowHead | undefined;
  /** Who opened the run goes on with it also where the agent is another one by now. */
  private allowed = false;
  /** Interrupts that wait to become effective. */
  private stops: Set<() => void> | undefined;
  private unwatch: (() => void) | undefined;
  private serving: ReturnType<typeof serveInbox> | undefined;
  private claiming: Promise<TakeOverReceipt> | undefined;
  private begun = false;
  /** Commands that wait for an owner elsewhere, to be woken when the agent closes. */
  private asking: Set<() => void> | undefined;
  /** Listeners of the agent's, which listen to all runs. */
  private shared = 0;
  /** Let go: who merely listens does not make it look. */
  private unheard = false;

  constructor(setup: RunSetup<Context>, found: Found | undefined) {
    const { runId, agent } = setup;
    const { log, clock } = agent;
    this.setup = setup;
    this.agent = agent;
    this.context = setup.context;
    this.runId = runId;
    this.log = log;
    this.clock = clock;
    this.bus = createBus(this);
    this.tasks = createTasks(MAX_BACKGROUND_TASKS, this);
    if (found === undefined) this.possessed = this.own(1, initialState());
    else this.following = this.follow(found);
    this.run = publicRun(this);
  }

  readAfter(cursor: number, limit: number): ReturnType<ReadAfter> {
    return readPublished(this.head(), this.log, cursor, limit);
  }

  publishedSeq(): number {
    return this.head().publishedSeq;
  }

  taskFailed(name: string, error: unknown): void {
    const message = `Background work "${name}" failed: ${messageOf(error)}`;
    const data: EventData<"error"> = {
      source: "background",
      code: "background",
      severity: "low",
      retryable: false,
      message,
    };
    this.possessed?.head.record([{ type: "error", data }]);
  }

  head(): SeenHead {
    const current = this.possessed?.head ?? this.following;
    if (current === undefined) throw new RubatoError("internal", "A run has an owner's head or a follower's.");
    return current;
  }

  owner(): Owner | undefined {
    return this.possessed;
  }

  follower(): FollowHead | undefined {
    return this.following;
  }

  get stopping(): Set<() => void> {
    this.stops ??= new Set();
    return this.stops;
  }

  isClosed(): boolean {
    return this.agent.isClosed();
  }

  private own(epoch: number, state: AgentState): Owner {
    const { setup, context, bus, tasks } = this;
    return createOwner<Context>({ setup, context, bus, tasks, epoch, state, run: this });
  }

  onFailure(): void {
    this.serving?.close();
    if (this.stops !== undefined) for (const wake of this.stops) wake();
  }

  onRest(atRest: boolean): void {
    if (atRest) this.unwatchSignal();
    else if (this.begun) this.watchSignal();
    this.setup.held.rested(this, atRest);
  }

  private follow({ state, owned }: Found): FollowHead {
    const { runId, log, clock, bus } = this;
    return followHead({
      runId,
      log,
      clock,
      state,
      owned,
      publish(event) {
        bus.publish(event);
        bus.stored([event]);
      },
      listening: () => !this.unheard && bus.listening(),
    });
  }

  private serve(epoch: number): void {
    const { log, runId, run, tasks } = this;
    this.serving = serveInbox({ log, runId, epoch, run, tasks });
  }

  /** Only while the run works: a signal that outlives many runs must not collect their listeners. */
  private watchSignal(): void {
    const { signal } = this.setup;
    if (signal === undefined || this.unwatch !== undefined || signal.aborted) return;
    const onAbort = (): void => {
      this.tasks.adopt("interrupt", this.stopBy("signal", "the signal was aborted"));
    };
    signal.addEventListener("abort", onAbort, { once: true });
    this.unwatch = () => {
      signal.removeEventListener("abort", onAbort);
    };
  }

  private unwatchSignal(): void {
    this.unwatch?.();
    this.unwatch = undefined;
  }

  private async stopBy(by: string, reason: string): Promise<void> {
    await this.possessed?.command({ type: "interrupt", by, reason, mode: "now" });
  }

  private commandHere(asked: Command, graceMs: number | undefined, to: Owner): Receipt | Promise<Receipt> {
    if (to.head.failure !== undefined) return { accepted: false, reason: to.head.failure.code };
    if (this.agent.isClosed() && (asked.type === "send" || asked.type === "resume"))
      return { accepted: false, reason: "closed" };
    return this.setup.signal === undefined ? to.command(asked, graceMs) : this.commandWatched(asked, graceMs, to);
  }

  private async commandWatched(asked: Command, graceMs: number | undefined, to: Owner): Promise<Receipt> {
    // Before the first event of a turn is recorded, so that an abort in any of its listeners counts.
    this.watchSignal();
    try {
      return await to.command(asked, graceMs);
    } finally {
      // Nobody says that a run rests which never left its rest: the command was refused, or all that it led to was over at once.
      if (to.head.atRest) this.unwatchSignal();
    }
  }

  /** L2. */
  command(asked: Command, verb: () => Verb, graceMs?: number): Answered | Promise<Answered> {
    if (this.possessed === undefined) return this.commandThere(asked, verb, graceMs);
    const here = this.commandHere(asked, graceMs, this.possessed);
    return here instanceof Promise ? here.then(answeredHere) : { here };
  }

  private async commandThere(asked: Command, verb: () => Verb, graceMs: number | undefined): Promise<Answered> {
    try {
      return await this.commandElsewhere(asked, verb, graceMs);
    } catch (error) {
      return { here: { accepted: false, reason: error instanceof RubatoError ? error.code : "log" } };
    }
  }

  private async commandElsewhere(given: Command, verb: () => Verb, graceMs: number | undefined): Promise<Answered> {
    const { agent, log, clock, runId } = this;
    this.asking ??= new Set();
    for (;;) {
      await this.claiming?.catch(() => {});
      if (this.possessed !== undefined) return { here: await this.commandHere(given, graceMs, this.possessed) };
      if (agent.isClosed()) return { here: { accepted: false, reason: "closed" } };
      await this.following?.refresh();
      if (this.following?.owned === true) {
        const there = await askOwner(
          { log, clock, runId, timeoutMs: agent.answerTimeoutMs, asking: this.asking, isClosed: agent.isClosed },
          verb(),
        );
        await this.following?.refresh();
        if (there !== "unowned") return { there };
        continue;
      }
      const { state } = this.head();
      const checked = await checkAnswer(given, state, {
        tools: agent.tools,
        redact: agent.redact,
        now: clock.now(),
      });
      if (isUnfit(checked)) return { here: checked };
      const asked = checked;
      const answer = respond(state, asked);
      if (!answer.accepted && !isUnderWay(state, asked)) return { here: answer };
      // What was asked for already takes an owner all the same, where it was not done yet.
      if (answer.accepted && answer.drafts.length === 0 && isAtRest(state))
        return { here: { accepted: true, seq: answer.seq ?? state.seq } };
      const receipt = await this.claimFor(
        {
          why: "command",
          caller: "caller" in asked ? asked.caller : undefined,
          takeover: false,
          allowChanged: false,
          unwanted(found) {
            const now = respond(found, asked);
            return now.accepted || isUnderWay(found, asked) ? undefined : now.reason;
          },
        },
        (found) => afterwards(found, asked),
        graceMs,
      );
      // Somebody else was faster: then the command is for that owner.
      if (receipt.accepted || receipt.reason !== "owned") return { here: receipt };
    }
  }

  private async claimFor(
    options: ClaimPlan,
    after: (state: AgentState) => Command | undefined,
    graceMs?: number,
  ): Promise<TakeOverReceipt> {
    if (this.claiming !== undefined) return { accepted: false, reason: "owned" };
    this.claiming = this.claim(options, after, graceMs);
    try {
      return await this.claiming;
    } finally {
      this.claiming = undefined;
    }
  }

  private async claim(
    { why, takeover, allowChanged, unwanted, caller }: ClaimPlan,
    after: (state: AgentState) => Command | undefined,
    graceMs: number | undefined,
  ): Promise<TakeOverReceipt> {
    const before = this.following;
    if (before === undefined) return { accepted: false, reason: "owned" };
    await before.refresh();
    const refusal = refusalOf(before.state, this.agent.definition, allowChanged || this.allowed);
    if (refusal !== undefined) return { accepted: false, ...refusal };
    const wasOwned = before.owned;
    if (this.agent.isClosed()) return { accepted: false, reason: "closed" };
    const claimed = await this.log.claim(this.runId, { takeover });
    if (!claimed.claimed) return { accepted: false, reason: claimed.reason };
    try {
      // From here on nobody else appends: what was there before is read to its end.
      await before.refresh();
    } catch (error) {
      await this.log.release(this.runId, claimed.epoch);
      throw error;
    }
    // Its last owner may have come to an end before it was claimed, and this agent may have closed.
    const refused = this.agent.isClosed() ? "closed" : unwanted(before.state);
    if (refused !== undefined) {
      await this.log.release(this.runId, claimed.epoch);
      return { accepted: false, reason: refused };
    }
    const possessed = this.possess(claimed.epoch, before.state);
    before.close();
    return possessed.takeOver(wasOwned && why === "resume" ? "takeover" : why, after, { graceMs, caller });
  }

  /** From here on this process owns the run. */
  private possess(epoch: number, state: AgentState): Owner {
    const possessed = this.own(epoch, state);
    this.possessed = possessed;
    this.following = undefined;
    this.unheard = false;
    this.begun = true;
    this.serve(epoch);
    // Held again, with everybody who listens to all runs; then where it belongs.
    this.setup.held.rested(this, false);
    if (possessed.head.atRest) this.setup.held.rested(this, true);
    return possessed;
  }

  onListening(): void {
    this.unheard = false;
    this.following?.attend();
  }

  onBackground(): void {
    // The agent holds a run with background work, also one that it had let go.
    if (this.head().atRest) this.setup.held.rested(this, true);
  }

  /** Somebody waits for another process's run, or listens to this one alone. */
  private isFollowed(): boolean {
    return (
      this.following !== undefined &&
      (this.following.awaited || (!this.unheard && this.bus.stats().subscribers.length > this.shared))
    );
  }

  async letGo(): Promise<void> {
    this.unheard = true;
    this.following?.attend();
    if (this.possessed === undefined || !this.possessed.head.atRest) return;
    const { epoch, head: last } = this.possessed;
    const leaving = this.possessed;
    this.serving?.close();
    this.serving = undefined;
    if (last.failure === undefined) {
      // It looks when somebody asks or reads. Not for those who merely listen: a run that was let go costs no watch and no timer.
      this.following = this.follow({ state: last.state, owned: false });
      this.possessed = undefined;
      leaving.leave();
    }
    try {
      await this.log.release(this.runId, epoch);
    } catch {
      // The log failed, which the run has told. Who claims it later finds this process ended, or takes it over.
    }
  }

  failed(): boolean {
    return this.head().failure !== undefined;
  }

  failure(): RubatoError | undefined {
    return this.head().failure;
  }

  busy(): boolean {
    return this.tasks.size > 0 || this.claiming !== undefined || this.isFollowed();
  }

  owns(): boolean {
    return this.possessed !== undefined;
  }

  supply(supplied: OpenOptions<Context>): void {
    if (this.possessed !== undefined) return;
    if (supplied.context !== undefined) this.context = supplied.context;
    this.allowed ||= supplied.allowChanged === true;
  }

  begin(start: EventData<"run_start">, input: string): void {
    if (this.possessed === undefined) return;
    const drafts: Draft[] = [
      { type: "run_start", data: start },
      { type: "user_input", data: { id: FIRST_INPUT, text: input, when: "start" } },
    ];
    if (this.setup.signal?.aborted === true) {
      drafts.push({ type: "interrupt", data: { by: "signal", reason: "the signal was aborted", mode: "now" } });
    }
    this.begun = true;
    this.watchSignal();
    this.serve(this.possessed.epoch);
    this.possessed.begin(drafts);
  }

  subscribe<Pattern extends EventPattern, Policy extends Overflow>(
    pattern: Pattern,
    listener: Listener<Pattern, Policy>,
    lane: Lane,
  ): () => void {
    const undo = this.bus.subscribe(pattern, listener, lane);
    this.shared++;
    this.following?.attend();
    return () => {
      undo();
      this.shared--;
      this.following?.attend();
    };
  }

  async takeOver(options: RecoverOptions, instruction: string | undefined, how: ResumeWay): Promise<TakeOverReceipt> {
    if (this.agent.isClosed()) return { accepted: false, reason: "closed" };
    await this.following?.refresh();
    // Decided before anything is claimed, and looked at again after it: over is over, and where nothing was asked there is nothing to go on with.
    const unwanted = (state: AgentState): string | undefined => {
      if (isAtRest(state) && (state.status === "done" || state.status === "cancelled")) return state.status;
      if (instruction !== undefined) return undefined;
      if (state.status === "idle") return "not_started";
      // What was said waits there until somebody raises it.
      const answer = respond(state, resumeOf(undefined, how));
      return !answer.accepted && answer.reason === "limit" ? "limit" : undefined;
    };
    const refused = unwanted(this.head().state);
    if (refused !== undefined) return { accepted: false, reason: refused };
    return this.claimFor({ ...options, unwanted, caller: how.caller }, (state) =>
      goOn(state, resumeOf(instruction, how)),
    );
  }

  async beginFork(epoch: number, instruction: string | undefined, caller?: TraceHeaders): Promise<Receipt> {
    this.following?.close();
    const after = (state: AgentState): Command | undefined =>
      instruction === undefined ? undefined : goOn(state, resumeOf(instruction, { caller }));
    return this.possess(epoch, this.head().state).takeOver("fork", after);
  }

  async close(): Promise<void> {
    // What nobody took yet is for whoever has the run next.
    this.serving?.close();
    if (this.asking !== undefined) for (const wake of this.asking) wake();
    await this.claiming?.catch(() => {});
    if (this.possessed !== undefined && !this.possessed.head.atRest) {
      await this.stopBy("shutdown", "the agent was closed");
      await this.run.settled();
    }
    this.tasks.close();
    await this.untilIdle();
    this.following?.close();
    await this.letGo();
    this.following?.close();
  }

  /** What ignores its signal is not waited for longer than a tool would be. */
  private async untilIdle(): Promise<void> {
    let cancelTimer = (): void => {};
    const grace = new Promise<void>((resolve) => {
      cancelTimer = this.clock.timer(this.agent.graceMs, resolve);
    });
    await Promise.race([this.tasks.idle(), grace]);
    cancelTimer();
  }
}
