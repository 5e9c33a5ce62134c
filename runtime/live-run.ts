import { respond, type Command } from "../machines/command.ts";
import type { Draft, EventData } from "../machines/events.ts";
import { initialState, isAtRest, type AgentState } from "../machines/state.ts";
import { checkAnswer, isUnfit } from "./approvals.ts";
import { createBus, type Bus } from "./bus.ts";
import type { SeenHead } from "./current-head.ts";
import { messageOf, RubatoError } from "./errors.ts";
import { followHead, type FollowHead } from "./follow-head.ts";
import { afterwards, goOn, isUnderWay, refusalOf, resumeOf } from "./go-on.ts";
import type { Found, OwnedRun, RecoverOptions, RunSetup, TakeOverReceipt } from "./owned-run.ts";
import { createOwner, type Owner } from "./owner.ts";
import { FIRST_INPUT } from "./input-id.ts";
import { askOwner, serveInbox, type Verb } from "./post.ts";
import { publicRun, type Answered } from "./public-run.ts";
import { readPublished } from "./reader.ts";
import type { Receipt, Run } from "./run.ts";
import { createTasks, type Tasks } from "./tasks.ts";

interface ClaimPlan extends RecoverOptions {
  /** Why a run in this state is not to be taken over after all. */
  readonly unwanted: (state: AgentState) => string | undefined;
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
  const { runId, log, clock } = setup;
  let { context } = setup;
  /** Who opened the run goes on with it also where the agent is another one by now. */
  let allowed = false;
  /** Interrupts that wait to become effective. */
  const stopping = new Set<() => void>();
  let unwatch: (() => void) | undefined;
  let stopServing: (() => void) | undefined;
  let claiming: Promise<TakeOverReceipt> | undefined;
  let begun = false;
  /** Commands that wait for an owner elsewhere, to be woken when the agent closes. */
  const asking = new Set<() => void>();
  /** Listeners of the agent's, which listen to all runs. */
  let shared = 0;
  /** Let go: who merely listens does not make it look. */
  let unheard = false;

  const bus: Bus = createBus({
    readAfter: (cursor, limit) => readPublished(head(), log, cursor, limit),
    publishedSeq: () => head().publishedSeq,
    clock,
  });
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
      publish(event) {
        bus.publish(event);
        bus.stored([event]);
      },
      listening: () => !unheard && bus.listening(),
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

  async function commandElsewhere(given: Command, verb: () => Verb, graceMs: number | undefined): Promise<Answered> {
    for (;;) {
      await claiming?.catch(() => {});
      if (owner !== undefined) return { here: await commandHere(given, graceMs, owner) };
      if (setup.isClosed()) return { here: { accepted: false, reason: "closed" } };
      await follower?.refresh();
      if (follower?.owned === true) {
        const there = await askOwner(
          { log, clock, runId, timeoutMs: setup.answerTimeoutMs, asking, isClosed: setup.isClosed },
          verb(),
        );
        await follower?.refresh();
        if (there !== "unowned") return { there };
        continue;
      }
      const { state } = head();
      const checked = await checkAnswer(given, state, { tools: setup.tools, redact: setup.redact, now: clock.now() });
      if (isUnfit(checked)) return { here: checked };
      const asked = checked;
      const answer = respond(state, asked);
      if (!answer.accepted && !isUnderWay(state, asked)) return { here: answer };
      // What was asked for already takes an owner all the same, where it was not done yet.
      if (answer.accepted && answer.drafts.length === 0 && isAtRest(state))
        return { here: { accepted: true, seq: answer.seq ?? state.seq } };
      const receipt = await takeOver(
        {
          why: "command",
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

  async function takeOver(
    options: ClaimPlan,
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
    { why, takeover, allowChanged, unwanted }: ClaimPlan,
    after: (state: AgentState) => Command | undefined,
    graceMs: number | undefined,
  ): Promise<TakeOverReceipt> {
    const before = follower;
    if (before === undefined) return { accepted: false, reason: "owned" };
    await before.refresh();
    const refusal = refusalOf(before.state, setup.definition, allowChanged || allowed);
    if (refusal !== undefined) return { accepted: false, ...refusal };
    const wasOwned = before.owned;
    if (setup.isClosed()) return { accepted: false, reason: "closed" };
    const claimed = await log.claim(runId, { takeover });
    if (!claimed.claimed) return { accepted: false, reason: claimed.reason };
    try {
      // From here on nobody else appends: what was there before is read to its end.
      await before.refresh();
    } catch (error) {
      await log.release(runId, claimed.epoch);
      throw error;
    }
    // Its last owner may have come to an end before it was claimed, and this agent may have closed.
    const refused = setup.isClosed() ? "closed" : unwanted(before.state);
    if (refused !== undefined) {
      await log.release(runId, claimed.epoch);
      return { accepted: false, reason: refused };
    }
    const possessed = possess(claimed.epoch, before.state);
    before.close();
    return possessed.takeOver(wasOwned && why === "resume" ? "takeover" : why, after, graceMs);
  }

  /** From here on this process owns the run. */
  function possess(epoch: number, state: AgentState): Owner {
    const possessed = own(epoch, state);
    owner = possessed;
    follower = undefined;
    unheard = false;
    begun = true;
    serve(epoch);
    // Held again, with everybody who listens to all runs; then where it belongs.
    setup.onRest(false);
    if (possessed.head.atRest) setup.onRest(true);
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
    onListening() {
      unheard = false;
      follower?.attend();
    },
    onBackground() {
      // The agent holds a run with background work, also one that it had let go.
      if (head().atRest) setup.onRest(true);
    },
  });

  /** Somebody waits for another process's run, or listens to this one alone. */
  function isFollowed(): boolean {
    return follower !== undefined && (follower.awaited || (!unheard && bus.stats().subscribers.length > shared));
  }

  async function letGo(): Promise<void> {
    unheard = true;
    follower?.attend();
    if (owner === undefined || !owner.head.atRest) return;
    const { epoch, head: last } = owner;
    const leaving = owner;
    stopServing?.();
    stopServing = undefined;
    if (last.failure === undefined) {
      // It looks when somebody asks or reads. Not for those who merely listen: a run that was let go costs no watch and no timer.
      follower = follow({ state: last.state, owned: false });
      owner = undefined;
      leaving.leave();
    }
    try {
      await log.release(runId, epoch);
    } catch {
      // The log failed, which the run has told. Who claims it later finds this process ended, or takes it over.
    }
  }

  return {
    run,
    failed: () => head().failure !== undefined,
    busy: () => tasks.size > 0 || claiming !== undefined || isFollowed(),
    owns: () => owner !== undefined,
    supply(supplied) {
      if (owner !== undefined) return;
      if (supplied.context !== undefined) ({ context } = supplied);
      allowed ||= supplied.allowChanged === true;
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
      shared++;
      follower?.attend();
      return () => {
        undo();
        shared--;
        follower?.attend();
      };
    },
    async takeOver(options, instruction, partial, budget) {
      if (setup.isClosed()) return { accepted: false, reason: "closed" };
      await follower?.refresh();
      // Decided before anything is claimed, and looked at again after it: over is over, and where nothing was asked there is nothing to go on with.
      const unwanted = (state: AgentState): string | undefined => {
        if (isAtRest(state) && (state.status === "done" || state.status === "cancelled")) return state.status;
        if (instruction !== undefined) return undefined;
        if (state.status === "idle") return "not_started";
        // What was said waits there until somebody raises it.
        const answer = respond(state, resumeOf(undefined, partial, budget));
        return !answer.accepted && answer.reason === "limit" ? "limit" : undefined;
      };
      const refused = unwanted(head().state);
      if (refused !== undefined) return { accepted: false, reason: refused };
      return takeOver({ ...options, unwanted }, (state) => goOn(state, resumeOf(instruction, partial, budget)));
    },
    async beginFork(epoch, instruction) {
      follower?.close();
      const after = (state: AgentState): Command | undefined =>
        instruction === undefined ? undefined : goOn(state, resumeOf(instruction, "keep"));
      return possess(epoch, head().state).takeOver("fork", after);
    },
    letGo,
    async close() {
      // What nobody took yet is for whoever has the run next.
      stopServing?.();
      for (const wake of asking) wake();
      await claiming?.catch(() => {});
      if (owner !== undefined && !owner.head.atRest) {
        await stopBy("shutdown", "the agent was closed");
        await run.settled();
      }
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
