import { isDeepStrictEqual } from "node:util";
import { createAgent, verify, type Run } from "rubato";
import { encodeState, isAtRest, type Event } from "rubato/machines";
import type { EventLog } from "../../runtime/log/event-log.ts";
import { memoryLog } from "../../runtime/log/memory.ts";
import { quiet } from "./agents.ts";
import { answerOne, createCommands, DRAIN_ROUNDS, ENOUGH_FAILURES, LONG_MS, type OnLog } from "./fuzz.ts";
import { diceOf, fuzzModel, type Dice } from "./fuzz-model.ts";
import { fuzzLimits, PLENTY, type FuzzLimits } from "./fuzz-limits.ts";
import { FUZZ_TOOL_NAMES, fuzzTools } from "./fuzz-tools.ts";
import { problemOf, type Problem } from "./fuzz-watchers.ts";
import { checkLog, fold } from "./invariants.ts";
import { leftBehind } from "./left-behind.ts";
import { stored } from "./logs.ts";
import { manualClock } from "./manual-clock.ts";

/**
 * Random runs whose process dies: each is cut after a random event, taken over by another process in a random way, commanded from there and from a
 * third one, cut again, and at last brought to its end. What was promised of every run holds (P8, P11, P12, P17, P19-P23, P26, I1-I17). A seed
 * decides everything.
 */
export async function fuzzRecovery(from: number, count: number, onLog: OnLog = () => {}): Promise<readonly string[]> {
  const failures: string[] = [];
  for (let seed = from; seed < from + count && failures.length < ENOUGH_FAILURES; seed++) {
    const problem: Problem = (promise, what) => {
      failures.push(`seed ${seed}: ${promise}: ${what}`);
    };
    const onUnhandled = problemOf(problem, "nothing rejects unheard");
    process.on("unhandledRejection", onUnhandled);
    try {
      await play(diceOf(seed), problem, onLog);
    } catch (error) {
      problem("nothing throws", error instanceof Error ? `${error.message} ${error.stack ?? ""}` : String(error));
    } finally {
      process.off("unhandledRejection", onUnhandled);
    }
  }
  return failures;
}

async function play(dice: Dice, problem: Problem, onLog: OnLog): Promise<void> {
  const limits = fuzzLimits(dice);
  const fallback = dice.chance(0.4);
  let events = await life({ dice, problem, limits, fallback, log: memoryLog(), prefix: [], last: false });
  const lives = 1 + dice.below(3);
  for (let at = 1; at <= lives; at++) {
    // A fork is copied as a whole: nobody can take it over before.
    const [start] = events;
    const least = start?.type === "run_start" ? (start.data.fork?.seq ?? 1) : 1;
    const prefix = events.slice(0, least + dice.below(events.length - least + 1));
    const log = await leftBehind(prefix);
    onLog(events);
    events = await life({ dice, problem, limits, fallback, log, prefix, last: at === lives });
  }
  onLog(events);
}

interface LifeOptions {
  readonly dice: Dice;
  readonly problem: Problem;
  /** The same in every process of a run. */
  readonly limits: FuzzLimits;
  /** There is a second model. */
  readonly fallback: boolean;
  readonly log: EventLog;
  /** What the process before left behind; nothing for the first. */
  readonly prefix: readonly Event[];
  /** Nobody kills this one: it comes to its end. */
  readonly last: boolean;
}

/** The life of one process with a run. Answers what it left in the log. */
async function life({
  dice,
  problem,
  limits,
  fallback,
  log: kept,
  prefix,
  last,
}: LifeOptions): Promise<readonly Event[]> {
  const log = dice.chance(0.5) ? slowly(kept) : kept;
  const clock = manualClock();
  const model = fuzzModel(dice, FUZZ_TOOL_NAMES);
  const second = fuzzModel(dice, FUZZ_TOOL_NAMES, "second");
  const models = fallback ? [model.model, second.model] : model.model;
  const tools = fuzzTools({ dice, problem, ask: () => commands.ask(), give: () => commands.give() });
  const parts = { name: "fuzz", model: models, tools: tools.tools, log, clock, ...limits };
  const agent = createAgent(parts);
  const outside = createAgent(parts);
  const how = prefix.length === 0 ? "run" : dice.pick(["resume", "resume", "open", "open", "fork"]);
  const where = `${how} after seq ${prefix.length} (${prefix.at(-1)?.type})`;

  let run: Run;
  if (how === "run") run = agent.run("task", { runId: "r" });
  else if (how === "fork") {
    const runId = `${prefix[0]?.runId}f`;
    run = await agent.fork(prefix[0]?.runId ?? "", { at: prefix.length, runId });
  } else run = await agent.open(prefix[0]?.runId ?? "");
  const heard: Event[] = [];
  const from = prefix.length + run.stats().published;
  run.subscribe("*", dice.chance(0.5) ? (event) => heard.push(event) : (event) => Promise.resolve(heard.push(event)));
  const read: Event[] = [];
  const reader = run.events({ follow: true });
  const reading = (async () => {
    for await (const event of reader) read.push(event);
  })();
  const commands = createCommands(run, log, dice, problem, 0);
  const answers = new Set<string>();
  const watch = (name: string, answer: Promise<unknown>): void => {
    answers.add(name);
    answer.then(
      () => answers.delete(name),
      (error: unknown) => {
        problem("commands never reject", `${name} ${where}: ${String(error)}`);
      },
    );
  };
  if (how === "resume") {
    const partial = dice.pick(["keep", "continue", "discard"]);
    watch("resume", agent.resume(run.id, dice.chance(0.3) ? "go on" : undefined, { partial }));
  }

  let others: ReturnType<typeof createCommands> | undefined;
  const sides: { readonly run: Run; readonly heard: Event[]; readonly from: number }[] = [];
  const join = async (): Promise<void> => {
    if (others !== undefined || (await log.head(run.id)).seq === 0) return;
    const seen = await outside.open(run.id);
    if (others !== undefined) return;
    others = createCommands(seen, log, dice, problem, 0);
    const side: Event[] = [];
    sides.push({ run: seen, heard: side, from: seen.state.seq });
    seen.subscribe("*", (event) => side.push(event));
  };
  const settleOne = (): void => {
    const [call] = run.state.orphans;
    if (call === undefined) return;
    watch("settleCall", run.settleCall(call.callId, dice.chance(0.5) ? { output: 1 } : { error: "it broke" }));
  };

  const rounds = 5 + dice.below(60);
  for (let round = 0; round < rounds; round++) {
    dice.weighted<() => void>([
      [350, model.feed],
      [100, second.feed],
      [150, tools.finishOne],
      [80, tools.validateOne],
      [60, commands.ask],
      [20, settleOne],
      [20, () => watch("join", join())],
      [30, () => others?.ask()],
      [60, () => clock.advance(dice.pick([1, 30, 600]))],
      [40, () => {}],
    ])();
    const turns = dice.pick([0, 1, 2, 5, 20]);
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    if (dice.chance(0.05)) await quiet();
  }
  const killed = last ? undefined : await stored(log, run.id);

  commands.stop();
  others?.stop();
  const settle = async (): Promise<void> => {
    let rests = false;
    run.settled().then(
      () => {
        rests = true;
      },
      problemOf(problem, "settled() never rejects"),
    );
    for (let round = 0; round < DRAIN_ROUNDS && !(rests && round > 2); round++) {
      model.drain();
      second.drain();
      tools.drain();
      if (run.state.retry !== undefined) clock.advance(1_000);
      await quiet();
    }
    if (!rests) problem("I14 the run comes to rest", `${where}: it is ${run.state.value}`);
  };
  await settle();
  if (last) {
    // Others may have given it their commands meanwhile; a person brings it to its end.
    for (let time = 0; time < 20 && !isOver(run); time++) {
      for (const { callId } of run.state.orphans) {
        if (dice.chance(0.5)) await run.settleCall(callId, { output: "told" });
      }
      if (run.state.status === "waiting") {
        for (let tries = 0; tries < 40 && run.state.status === "waiting"; tries++) await answerOne(run, dice);
        await settle();
        continue;
      }
      const receipt = await run.resume(undefined, { budget: PLENTY });
      if (!receipt.accepted && !(await run.send("go on")).accepted) await run.cancel("enough");
      await settle();
    }
    if (!isOver(run)) problem("P8 every prefix can be brought to its end", `${where}: it is ${run.state.value}`);
    if (!isAtRest(run.state)) problem("P8 it rests", `${where}: it is ${run.state.value}`);
  }

  for (let round = 0; round < 4; round++) {
    clock.advance(600);
    await settle();
  }
  const events = await stored(log, run.id);
  for (const side of [{ run, heard, from }, ...sides]) {
    const wanted = events.slice(side.from);
    if (isDeepStrictEqual(side.heard, wanted)) continue;
    const seqs = side.heard.map(({ seq }) => seq).join(" ");
    problem(`P26 B1 a listener ${where}`, `from seq ${side.from} of ${events.length} it got ${seqs}`);
  }
  if (!isDeepStrictEqual(read, events)) {
    problem(`P26 a reader ${where}`, `of ${events.length} it got ${read.map(({ seq }) => seq).join(" ")}`);
  }
  let closed = false;
  Promise.all([agent.close(), outside.close()]).then(
    () => {
      closed = true;
    },
    problemOf(problem, "close() never rejects"),
  );
  await quiet();
  clock.advance(LONG_MS);
  await quiet();
  await reader.return?.();
  await reading;
  if (!closed) problem("close() resolves", `${where}: it is ${run.state.value}`);
  for (const name of [...commands.open, ...(others?.open ?? []), ...answers]) {
    problem("every command answers", `${name} did not, ${where}: it is ${run.state.value}`);
  }
  if (clock.pending !== 0) problem("no timer is left", `${clock.pending} are, ${where}`);

  const after = await stored(log, run.id);
  const copied = after.slice(1, prefix.length);
  const before = prefix.slice(1).map((event) => ({ ...event, runId: run.id }));
  if (!isDeepStrictEqual(copied, before)) problem("P8 nothing recorded is lost", where);
  try {
    checkLog(after);
  } catch (error) {
    problem(`the log is valid ${where}`, error instanceof Error ? error.message : String(error));
  }
  const own = after.slice(prefix.length);
  for (const [execution, times] of tools.starts) {
    if (times > 1) problem("I5 an attempt begins once", `${execution} began ${times} times, ${where}`);
    const start = own.find(({ type, data }) => type === "tool_start" && nameOf(data) === execution);
    if (start === undefined) problem("I4 append before effect", `${execution} began unrecorded, ${where}`);
  }
  if (encodeState(fold(after)) !== encodeState(run.state))
    problem("P6", `the live state differs from the fold ${where}`);
  const verified = await verify(log, run.id);
  if (!verified.ok) problem(`I20 verify ${where}`, `seq ${verified.seq}: ${verified.problem}`);
  if (isCheckedLate(after)) return killed ?? after;
  const replayed = await agent.checkReplay(run.id);
  if (!replayed.ok) problem(`P6 the same code records the same ${where}`, replayed.problem);
  return killed ?? after;
}

function isOver({ state }: Run): boolean {
  return (state.status === "done" && isAtRest(state)) || state.status === "cancelled";
}

/** Where a new owner checks arguments asynchronously, the log does not say what came before the end of that check: checkReplay may see another order. */
function isCheckedLate(events: readonly Event[]): boolean {
  return events.some((event, at) => {
    if (event.type !== "owner") return false;
    const { calls } = fold(events.slice(0, at)).core;
    return calls.some(({ name, outcome }) => outcome === undefined && (name === "async" || name === "later"));
  });
}

function nameOf(data: object): string {
  return "callId" in data && "attempt" in data ? `${String(data.callId)}/${String(data.attempt)}` : "";
}

/** Events become durable only some microtasks later. */
function slowly(log: EventLog): EventLog {
  return {
    ...log,
    async append(runId, batch) {
      for (let turn = 0; turn < 3; turn++) await Promise.resolve();
      await log.append(runId, batch);
      return undefined;
    },
  };
}
