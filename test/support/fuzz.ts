import { getEventListeners } from "node:events";
import { createAgent, memoryLog, verify, type InterruptReceipt, type Run } from "rubato";
import { encodeState, isAtRest, type Event } from "rubato/machines";
import type { EventLog } from "../../runtime/log/event-log.ts";
import { quiet } from "./agents.ts";
import { diceOf, fuzzModel, type Dice } from "./fuzz-model.ts";
import { fuzzLimits, PLENTY } from "./fuzz-limits.ts";
import { FUZZ_TOOL_NAMES, fuzzTools } from "./fuzz-tools.ts";
import { fuzzWatchers, problemOf, type Problem } from "./fuzz-watchers.ts";
import { checkLog, fold } from "./invariants.ts";
import { slowLog, stored } from "./logs.ts";
import { manualClock } from "./manual-clock.ts";

/**
 * Random runs: whatever is asked of a run, whenever, and whatever its model and its tools do, what was promised of every run holds. A seed is
 * one run and decides everything in it; there is no clock and no other randomness.
 */

/** Longer than any timeout and any grace. */
export const LONG_MS = 400_000;
/** Enough for what a run still does when all it waits for is answered; one that needs more does not come to rest. */
export const DRAIN_ROUNDS = 40;
/** A broken line breaks many seeds, and the first few say as much as all. */
export const ENOUGH_FAILURES = 5;

/** What is told of every log that a random run left. */
export type OnLog = (events: readonly Event[]) => void;

/** Plays seeds one after the other. Answers what went wrong, each with its seed: none is the promise. */
export async function fuzz(from: number, count: number, onLog?: OnLog): Promise<readonly string[]> {
  const failures: string[] = [];
  for (let seed = from; seed < from + count && failures.length < ENOUGH_FAILURES; seed++) {
    failures.push(...(await play(seed, onLog)));
  }
  return failures;
}

/** Plays one seed. */
export async function play(seed: number, onLog: OnLog = () => {}): Promise<readonly string[]> {
  const slow = seed % 2 === 0;
  const problems: string[] = [];
  const problem: Problem = (promise, what) => {
    problems.push(`seed ${seed} (${slow ? "slowLog" : "memoryLog"}): ${promise}: ${what}`);
  };
  const onUnhandled = (error: unknown): void => {
    problem("nothing rejects unheard", String(error));
  };
  process.on("unhandledRejection", onUnhandled);
  try {
    await playOne(diceOf(seed), slow ? slowLog() : memoryLog(), problem, onLog);
  } catch (error) {
    problem("nothing throws", String(error));
  } finally {
    process.off("unhandledRejection", onUnhandled);
  }
  return problems;
}

async function playOne(dice: Dice, log: EventLog, problem: Problem, onLog: OnLog): Promise<void> {
  const calm = dice.chance(0.6);
  const clock = manualClock();
  const controller = new AbortController();
  const model = fuzzModel(dice, FUZZ_TOOL_NAMES);
  const second = fuzzModel(dice, FUZZ_TOOL_NAMES, "second");
  const tools = fuzzTools({ dice, problem, ask: () => commands.ask(), give: () => commands.give() });
  const agent = createAgent({
    name: "fuzz",
    model: dice.chance(0.4) ? [model.model, second.model] : model.model,
    tools: tools.tools,
    log,
    clock,
    ...fuzzLimits(dice),
  });
  const run = agent.run("task", { runId: "__proto__", signal: controller.signal });
  const commands = createCommands(run, log, dice, problem, calm ? 0.005 : 0.04);
  const watchers = fuzzWatchers(run, dice, problem, commands.sometimes);
  const closings: Promise<void>[] = [];

  watchers.atStart();
  const rounds = 10 + dice.below(150);
  // Under many commands nothing gets far, and under few nothing is hit: some seeds are wild, most are calm.
  const commandWeight = calm ? 30 : 200;
  for (let round = 0; round < rounds; round++) {
    dice.weighted<() => void>([
      [350, model.feed],
      [100, second.feed],
      [150, tools.finishOne],
      [80, tools.validateOne],
      [commandWeight, commands.ask],
      [80, () => clock.advance(dice.pick([1, 30, 60, 6_000]))],
      [20, watchers.add],
      [5, () => controller.abort()],
      [5, () => closings.push(agent.close())],
      [60, () => {}],
    ])();
    const turns = dice.pick([0, 0, 1, 2, 3, 5, 10, 40]);
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
  }

  commands.stop();
  let outcome = false;
  run.settled().then(
    () => {
      outcome = true;
    },
    problemOf(problem, "settled() never rejects"),
  );
  // An answer to a call that waits may still be on its way, and lead out of the rest.
  for (let round = 0, rests = 0; round < DRAIN_ROUNDS && rests < 4; round++) {
    rests = outcome && isAtRest(run.state) ? rests + 1 : 0;
    model.drain();
    second.drain();
    tools.drain();
    // A wait before a retry is all that time has to end. Not so much that the log would be late.
    if (run.state.retry !== undefined) clock.advance(1_000);
    await quiet();
  }
  // Without time passing: a timeout would end what waits for itself.
  const at = `it is ${run.state.value}`;
  if (!outcome) problem("settled() resolves", at);
  if (!isAtRest(run.state)) problem("P19 the run comes to rest", at);

  let closed = false;
  Promise.all([...closings, agent.close()]).then(
    () => {
      closed = true;
    },
    problemOf(problem, "close() never rejects"),
  );
  await quiet();
  clock.advance(LONG_MS);
  await quiet();
  if (!closed) problem("close() resolves", at);
  for (const name of commands.open) problem("every command answers", `${name} did not, and ${at}`);
  if (clock.pending !== 0) problem("no timer is left", `${clock.pending} are`);
  if (run.stats().tasks !== 0) problem("no task is left", `${run.stats().tasks} are`);
  const listeners = getEventListeners(controller.signal, "abort").length;
  if (listeners !== 0) problem("no abort listener is left", `${listeners} are`);
  for (const [callId, times] of tools.starts) {
    if (times > 1) problem("P11 a call is started at most once", `${callId} was started ${times} times`);
  }

  const events = await stored(log, run.id);
  onLog(events);
  try {
    checkLog(events);
  } catch (error) {
    problem("the log is valid", error instanceof Error ? error.message : String(error));
  }
  if (encodeState(fold(events)) !== encodeState(run.state)) problem("P6", "the live state differs from the fold");
  await watchers.check(events);
  const verified = await verify(log, run.id);
  if (!verified.ok) problem("I20 verify finds nothing", `seq ${verified.seq}: ${verified.problem}`);
  const replayed = await agent.checkReplay(run.id);
  if (!replayed.ok) problem("P6 the same code records the same", `${replayed.problem} ${JSON.stringify(replayed)}`);
}

/** Answers one of the calls that wait, or one that does not, in one of the ways of people. */
export async function answerOne(run: Run, dice: Dice): Promise<unknown> {
  const { pendingApprovals } = run.state;
  const { callId, approval } = pendingApprovals[dice.below(Math.max(1, pendingApprovals.length))] ?? { callId: "1.0" };
  return dice.weighted<() => Promise<unknown>>([
    [5, () => run.approve(callId)],
    [1, () => run.approve(callId, { argsHash: approval?.argsHash ?? "" })],
    [1, () => run.approve(callId, { argsHash: "another" })],
    [2, () => run.approve(callId, { args: { edited: true } })],
    [1, () => run.approve(callId, { args: ["no object"] })],
    [2, () => run.approve(callId, { forRun: true })],
    [4, () => run.reject(callId, dice.pick(["", "no"]))],
  ])();
}

export interface Commands {
  /** Gives a random command and forgets it: it must answer all the same. */
  readonly ask: () => void;
  /** Gives a random command. Resolves when it answered, and never rejects. */
  give(): Promise<void>;
  /** What a listener does at an event: nothing, mostly. */
  readonly sometimes: () => void;
  /** From now on no command is given, so that the run can come to rest. */
  stop(): void;
  /** Those that have not answered yet. */
  readonly open: ReadonlySet<string>;
}

export function createCommands(run: Run, log: EventLog, dice: Dice, problem: Problem, atEvents: number): Commands {
  const open = new Set<string>();
  let given = 0;
  let stopped = false;

  /** At the moment of the answer, and not later: another interrupt would hide that it was too early. */
  async function checkEffective(answer: Promise<InterruptReceipt>): Promise<void> {
    const receipt = await answer;
    if (!receipt.accepted || !receipt.effective) return;
    const events = await stored(log, run.id);
    if (events.some(({ type, seq }) => type === "interrupted" && seq > receipt.seq)) return;
    problem("P17 effective means interrupted", `none after seq ${receipt.seq}`);
  }

  async function background(): Promise<void> {
    const fails = dice.chance(0.3);
    run.background("beside", async (signal) => {
      if (fails) throw new Error("beside");
      await new Promise((resolve) => {
        signal.addEventListener("abort", resolve, { once: true });
      });
    });
  }

  function random(): readonly [string, Promise<unknown>] {
    return dice.weighted<() => readonly [string, Promise<unknown>]>([
      [24, () => ["interrupt step", checkEffective(run.interrupt("step", { mode: "step" }))]],
      [
        20,
        () => {
          const grace = dice.chance(0.3) ? { graceMs: dice.pick([0, 10]) } : {};
          return ["interrupt now", checkEffective(run.interrupt("now", { mode: "now", ...grace }))];
        },
      ],
      [
        24,
        () => {
          const partial = dice.pick(["keep", "continue", "discard"]);
          const raised = dice.chance(0.3) ? { budget: PLENTY } : {};
          return ["resume", run.resume(dice.chance(0.4) ? "go on" : undefined, { partial, ...raised })];
        },
      ],
      [
        26,
        () => {
          const when = dice.pick(["now", "step", "done"]);
          return ["send", run.send("more", { when, ...(dice.chance(0.1) ? { id: "twice" } : {}) })];
        },
      ],
      [12, () => ["approval", answerOne(run, dice)]],
      [2, () => ["cancel", run.cancel("enough")]],
      [3, () => ["settled", run.settled()]],
      [1, () => ["background", background()]],
    ])();
  }

  async function give(): Promise<void> {
    if (stopped) return;
    const [name, answer] = random();
    const key = `${name} (command ${++given})`;
    open.add(key);
    // Only what is recorded at once can be waited for inside a tool; rest is what that tool holds up.
    const answered = answer.then(
      () => {
        open.delete(key);
      },
      (error: unknown) => {
        open.delete(key);
        problem("commands never reject", `${key}: ${String(error)}`);
      },
    );
    if (name !== "settled") await answered;
  }

  /** `give()` catches what a command rejects with, so this reports a fault of the test's own. */
  const ask = (): void => {
    give().then(undefined, problemOf(problem, "commands never throw"));
  };
  return {
    open,
    give,
    ask,
    sometimes() {
      if (!stopped && dice.chance(atEvents)) ask();
    },
    stop() {
      stopped = true;
    },
  };
}
