import { respond, type Command } from "../machines/command.ts";
import type { Draft, EventData, PartialPolicy } from "../machines/events.ts";
import { initialState, isAtRest, type AgentState } from "../machines/state.ts";
import { createBus, type Bus, type EventPattern, type Lane, type Listener } from "./bus.ts";
import type { SeenHead } from "./current-head.ts";
import { messageOf, RubatoError } from "./errors.ts";
import { followHead, type FollowHead } from "./follow-head.ts";
import { createOwner, type Owner, type OwnerSetup } from "./owner.ts";
import { FIRST_INPUT, newInputId } from "./input-id.ts";
import { askOwner, serveInbox, type Verb } from "./post.ts";
import { publicRun, type Answered } from "./public-run.ts";
import { readPublished } from "./reader.ts";
import { definitionChange, type Definition } from "./recovery.ts";
import type { Receipt, Run } from "./run.ts";
import { createTasks, type Tasks } from "./tasks.ts";

/** What resuming asks of a run that was just taken over. One that goes on by itself, or ends its stop, needs nothing but the instruction. */
function goOn(state: AgentState, text: string | undefined, partial: PartialPolicy): Command | undefined {
  const input = text === undefined ? undefined : { id: newInputId(), text };
  const resume: Command = { type: "resume", by: "user", partial, ...(input === undefined ? {} : { input }) };
  if (respond(state, resume).accepted) return resume;
  return input === undefined ? undefined : { type: "send", ...input, when: "step" };
}

/** What an agent gives each of its runs. */
export interface RunSetup<Context> extends OwnerSetup<Context> {
  readonly context: Context;
  readonly definition: Definition;
  readonly signal: AbortSignal | undefined;
  /** How long a command waits for the owner in another process, ms. */
  readonly answerTimeoutMs: number;
  readonly onRest: (atRest: boolean) => void;
  readonly isClosed: () => boolean;
}

export interface RecoverOptions {
  readonly takeover: boolean;
  readonly allowChanged: boolean;
  readonly why: EventData<"owner">["why"];
}

/** Why a run was not taken over; `message` says more where one word is not enough. */
export type TakeOverReceipt = Receipt | { readonly accepted: false; readonly reason: string; readonly message: string };

/** A run together with what only its agent may touch. */
export interface OwnedRun<Context = unknown> {
  readonly run: Run;
  /** It never owned its log, or lost it. */
  readonly failed: () => boolean;
  /** Somebody needs it to stay: it works in the background, or somebody waits for another process's run. */
  readonly busy: () => boolean;
  /** This process owns it. */
  readonly owns: () => boolean;
  /** Subscribes in a lane that is shared with other runs. */
  subscribe<Pattern extends EventPattern>(pattern: Pattern, listener: Listener<Pattern>, lane: Lane): () => void;
  /** Records the first events. */
  readonly begin: (start: EventData<"run_start">, input: string) => void;
  /** Makes this process the owner of a run that another one had, and has it go on. */
  readonly takeOver: (
    options: RecoverOptions,
    instruction: string | undefined,
    partial: PartialPolicy,
  ) => Promise<TakeOverReceipt>;
  /** Owns a fork that was just copied under this epoch: it comes to rest, or goes on with an instruction. */
  readonly beginFork: (epoch: number, instruction: string | undefined) => Promise<Receipt>;
  /** A context for a run that was opened without one. Ignored once this process owns it. */
  readonly supply: (context: Context) => void;
  /** Gives up the ownership of a run at rest: whoever has the run can go on with it, and claims it anew. */
  readonly letGo: () => Promise<void>;
  /** Interrupts now, waits for rest, ends background work, lets go. */
  readonly close: () => Promise<void>;
}

const MAX_BACKGROUND_TASKS = 1_000;

/** Where an existing run stands. */
export interface Found {
  readonly state: AgentState;
  readonly owned: boolean;
}

/**
 * A run of this process: one that it owns, or one that it only follows and may come to own.
 *
 * L1 Exactly one head counts at a time. Readers and subscribers stay when it changes: they have nothing but a cursor.
 * L2 A command goes to the owner: this process, or another one through the inbox. Where there is none, this process claims the run first, and only
 *    for a command that the state accepts.
 */
export function createRun<Context>(setup: RunSetup<Context>, found?: Found): OwnedRun<Context> {
  const { runId, log, clock } = setup;
  let { context } = setup;
  /** Interrupts that wait to become effective. */
  const stopping = new Set<() => void>();
  let unwatch: (() => void) | undefined;
  let stopServing: (() => void) | undefined;
  let claiming: Promise<TakeOverReceipt> | undefined;
  let begun = false;

  const bus: Bus = createBus((cursor) => readPublished(head(), log, cursor));
  const tasks: Tasks = createTasks({
    max: MAX_BACKGROUND_TASKS,
    onFailure(name, error) {
      const message = `Background work "${name}" failed: ${messageOf(error)}`;
      const data: EventData<"error"> = {
        source: "background",
        code: "background",
        severity: "low",
        retryable: false,
        message,
      };
      owner?.head.record([{ type: "error", data }]);
    },
  });
  let follower: FollowHead | undefined;
  let owner: Owner | undefined;
  if (found === undefined) owner = own(1, initialState());
  else follower = follow(found);

  function head(): SeenHead {
    const current = owner?.head ?? follower;
    if (current === undefined) throw new RubatoError("internal", "A run has an owner's head or a follower's.");
    return current;
  }

  function own(epoch: number, state: AgentState): Owner {
    return createOwner<Context>({
      setup,
      context,
      bus,
      tasks,
      epoch,
      state,
      onFailure() {
        stopServing?.();
        for (const wake of stopping) wake();
      },
      onRest(atRest) {
        if (atRest) unwatchSignal();
        else if (begun) watchSignal();
        setup.onRest(atRest);
      },
    });
  }

  function follow({ state, owned }: Found): FollowHead {
    return followHead({
      runId,
      log,
      clock,
      state,
      owned,
      publish: bus.publish,
      listening: () => bus.listening(),
    });
  }

  function serve(epoch: number): void {
    stopServing = serveInbox({ log, runId, epoch, run, tasks });
  }

  /** Only while the run works: a signal that outlives many runs must not collect their listeners. */
  function watchSignal(): void {
    const { signal } = setup;
    if (signal === undefined || unwatch !== undefined || signal.aborted) return;
    const onAbort = (): void => {
      tasks.adopt("interrupt", stopBy("signal", "the signal was aborted"));
    };
    signal.addEventListener("abort", onAbort, { once: true });
    unwatch = () => {
      signal.removeEventListener("abort", onAbort);
    };
  }

  function unwatchSignal(): void {
    unwatch?.();
    unwatch = undefined;
  }

  async function stopBy(by: string, reason: string): Promise<void> {
    await owner?.command({ type: "interrupt", by, reason, mode: "now" });
  }

  async function commandHere(asked: Command, graceMs: number | undefined, to: Owner): Promise<Receipt> {
    if (to.head.failure !== undefined) return { accepted: false, reason: to.head.failure.code };
    if (setup.isClosed() && (asked.type === "send" || asked.type === "resume"))
      return { accepted: false, reason: "closed" };
    // Before the first event of a turn is recorded, so that an abort in any of its listeners counts.
    watchSignal();
    const answer = to.command(asked, graceMs);
    if (to.head.atRest) unwatchSignal();
    return answer;
  }

  /** L2. */
  async function command(asked: Command, verb: () => Verb, graceMs?: number): Promise<Answered> {
    if (owner !== undefined) return { here: await commandHere(asked, graceMs, owner) };
    try {
      return await commandElsewhere(asked, verb, graceMs);
    } catch (error) {
      return { here: { accepted: false, reason: error instanceof RubatoError ? error.code : "log" } };
    }
  }

  async function commandElsewhere(asked: Command, verb: () => Verb, graceMs: number | undefined): Promise<Answered> {
    for (;;) {
      await claiming?.catch(() => {});
      if (owner !== undefined) return { here: await commandHere(asked, graceMs, owner) };
      if (setup.isClosed()) return { here: { accepted: false, reason: "closed" } };
      await follower?.refresh();
      if (follower?.owned === true) {
        const there = await askOwner({ log, clock, runId, timeoutMs: setup.answerTimeoutMs }, verb());
        await follower?.refresh();
        if (there !== "unowned") return { there };
        continue;
      }
      const answer = respond(head().state, asked);
      if (!answer.accepted) return { here: answer };
      if (answer.drafts.length === 0) return { here: { accepted: true, seq: answer.seq ?? head().state.seq } };
      const receipt = await takeOver({ why: "command", takeover: false, allowChanged: false }, () => asked, graceMs);
      // Somebody else was faster: then the command is for that owner.
      if (receipt.accepted || receipt.reason !== "owned") return { here: receipt };
    }
  }

  async function takeOver(
    options: RecoverOptions,
    after: (state: AgentState) => Command | undefined,
    graceMs?: number,
  ): Promise<TakeOverReceipt> {
    if (claiming !== undefined) return { accepted: false, reason: "owned" };
    claiming = claim(options, after, graceMs);
    try {
      return await claiming;
    } finally {
      claiming = undefined;
    }
  }

  async function claim(
    { why, takeover, allowChanged }: RecoverOptions,
    after: (state: AgentState) => Command | undefined,
    graceMs: number | undefined,
  ): Promise<TakeOverReceipt> {
    const before = follower;
    if (before === undefined) return { accepted: false, reason: "owned" };
    await before.refresh();
    const { start } = before.state.core;
    const change = start === undefined ? undefined : definitionChange(start.agent, setup.definition);
    if (change !== undefined && !allowChanged) return { accepted: false, reason: "changed", message: change };
    const wasOwned = before.owned;
    const claimed = await log.claim(runId, { takeover });
    if (!claimed.claimed) return { accepted: false, reason: claimed.reason };
    // From here on nobody else appends: what was there before is read to its end.
    await before.refresh();
    before.close();
    return possess(claimed.epoch, before.state).takeOver(
      wasOwned && why === "resume" ? "takeover" : why,
      after,
      graceMs,
    );
  }

  /** From here on this process owns the run. */
  function possess(epoch: number, state: AgentState): Owner {
    const possessed = own(epoch, state);
    owner = possessed;
    follower = undefined;
    begun = true;
    serve(epoch);
    setup.onRest(possessed.head.atRest);
    return possessed;
  }

  const run: Run = publicRun({
    runId,
    log,
    clock,
    bus,
    tasks,
    stopping,
    head,
    owner: () => owner,
    follower: () => follower,
    command,
    isClosed: setup.isClosed,
    onBackground() {
      // The agent holds a run with background work, also one that it had let go.
      if (head().atRest) setup.onRest(true);
    },
  });

  async function letGo(): Promise<void> {
    if (owner === undefined || !owner.head.atRest) return;
    const { epoch, head: last } = owner;
    stopServing?.();
    stopServing = undefined;
    if (last.failure === undefined) {
      follower = follow({ state: last.state, owned: false });
      owner = undefined;
      if (!setup.isClosed()) follower.attend();
    }
    await log.release(runId, epoch);
  }

  return {
    run,
    failed: () => head().failure !== undefined,
    busy: () => run.stats().tasks > 0 || follower?.watching === true || claiming !== undefined,
    owns: () => owner !== undefined,
    supply(supplied) {
      if (owner === undefined) context = supplied;
    },
    begin(start, input) {
      if (owner === undefined) return;
      const drafts: Draft[] = [
        { type: "run_start", data: start },
        { type: "user_input", data: { id: FIRST_INPUT, text: input, when: "start" } },
      ];
      if (setup.signal?.aborted === true) {
        drafts.push({ type: "interrupt", data: { by: "signal", reason: "the signal was aborted", mode: "now" } });
      }
      begun = true;
      watchSignal();
      serve(owner.epoch);
      owner.begin(drafts);
    },
    subscribe(pattern, listener, lane) {
      const undo = bus.subscribe(pattern, listener, lane);
      follower?.attend();
      return undo;
    },
    async takeOver(options, instruction, partial) {
      if (setup.isClosed()) return { accepted: false, reason: "closed" };
      await follower?.refresh();
      const { state } = head();
      // Decided before anything is claimed: over is over, and where nothing was asked there is nothing to go on with.
      if (isAtRest(state) && (state.status === "done" || state.status === "cancelled")) {
        return { accepted: false, reason: state.status };
      }
      if (state.status === "idle" && instruction === undefined) return { accepted: false, reason: "not_started" };
      return takeOver(options, (state) => goOn(state, instruction, partial));
    },
    async beginFork(epoch, instruction) {
      follower?.close();
      const after = (state: AgentState): Command | undefined =>
        instruction === undefined ? undefined : goOn(state, instruction, "keep");
      return possess(epoch, head().state).takeOver("fork", after);
    },
    letGo,
    async close() {
      if (owner !== undefined && !owner.head.atRest) {
        await stopBy("shutdown", "the agent was closed");
        await run.settled();
      }
      stopServing?.();
      tasks.close();
      await untilIdle();
      follower?.close();
      await letGo();
      follower?.close();
    },
  };

  /** What ignores its signal is not waited for longer than a tool would be. */
  async function untilIdle(): Promise<void> {
    let cancelTimer = (): void => {};
    const grace = new Promise<void>((resolve) => {
      cancelTimer = clock.timer(setup.graceMs, resolve);
    });
    await Promise.race([tasks.idle(), grace]);
    cancelTimer();
  }
}
