import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { verify } from "rubato";
import type { Event } from "rubato/machines";
import { fileLog } from "../../runtime/log/file.ts";
import { checkLog } from "../support/invariants.ts";
import { stored } from "../support/logs.ts";
import { agentOf, goOn, ANSWER, RUN_ID, type LedgerLine, type Scenario } from "./scenarios.ts";

const CHILD = fileURLToPath(new URL("./child.ts", import.meta.url));

export interface Ran {
  readonly out: string;
  readonly err: string;
  /** `SIGKILL` for one that died. */
  readonly signal: NodeJS.Signals | null;
}

export interface Running {
  readonly ended: Promise<Ran>;
  /** Resolves when it has printed this. Rejects when it ends without. */
  says(text: string): Promise<void>;
  go(): void;
  kill(signal: NodeJS.Signals): void;
  readonly pid: number | undefined;
}

export function startChild(folder: string, scenario: Scenario, point: readonly string[]): Running {
  const child = spawn(process.execPath, ["--conditions=source", "--import", "tsx", CHILD, folder, scenario, ...point], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  let out = "";
  let err = "";
  const waiting = new Set<() => void>();
  child.stdout.setEncoding("utf8").on("data", (piece: string) => {
    out += piece;
    for (const look of waiting) look();
  });
  child.stderr.setEncoding("utf8").on("data", (piece: string) => (err += piece));
  child.stdin.on("error", () => {});
  const ended = new Promise<Ran>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (_code, signal) => resolve({ out, err, signal }));
  });
  return {
    ended,
    pid: child.pid,
    async says(text) {
      const said = new Promise<void>((resolve) => {
        const look = (): void => {
          if (!out.includes(text)) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      });
      const silent = ended.then((ran) => {
        if (!ran.out.includes(text)) throw new Error(`it never said "${text}": ${ran.out} ${ran.err}`);
      });
      await Promise.race([said, silent]);
    },
    go() {
      child.stdin.write("go\n");
    },
    kill(signal) {
      child.kill(signal);
    },
  };
}

/** Runs the child to its end. */
export function runChild(folder: string, scenario: Scenario, point: readonly string[]): Promise<Ran> {
  return startChild(folder, scenario, point).ended;
}

/** A folder for one run and its ledger, gone afterwards. */
export async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "rubato-crash-"));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export function readLedger(folder: string): LedgerLine[] {
  const path = join(folder, "ledger.jsonl");
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").split("\n").filter(Boolean);
  return lines.map((line): LedgerLine => JSON.parse(line));
}

/**
 * Resumes what a dead process left behind, as a process of its own that has nothing but the log, and checks everything that must hold: the answer
 * (I15), the log (I1-I10, P22), and the log against the ledger (I4, I5, I7, I8). Answers false where there was no run yet.
 */
export async function recover(folder: string, scenario: Scenario, where: string): Promise<boolean> {
  const log = fileLog(join(folder, "runs"));
  const before = await stored(log, RUN_ID);
  if (before.length === 0) return false;
  const agent = agentOf(scenario, { log, ledger: join(folder, "ledger.jsonl") });
  try {
    const waiting = checkLog(before);
    const over = waiting.status === "done";
    // Died between the two events of its first batch, which only this test's log can do: the task was never accepted.
    const task = waiting.status === "idle" ? "Look up the weather and deal with the bill." : undefined;
    const answer = await agent.resume(RUN_ID, task);
    // At a limit nothing goes on before it is raised: then this process has the run by its next command. One that died on the way there is taken there.
    const atLimit = waiting.value === "interrupted.paused" && waiting.core.context.limit === "budget";
    const refusal = over ? "done" : atLimit ? "limit" : undefined;
    expect(answer, `${where} in ${waiting.value}`).toMatchObject(
      refusal === undefined ? { accepted: true } : { accepted: false, reason: refusal },
    );
    const run = await agent.open(RUN_ID);
    let outcome = await run.settled();
    // P12: a call that must not run twice, and nobody knows how it ended. An interrupt that stays one (P20). A limit, a call that waits for a person.
    for (let time = 0; time < 5 && (outcome.status === "interrupted" || outcome.status === "waiting"); time++) {
      await goOn(run);
      outcome = await run.settled();
    }
    expect(outcome, `I15 ${where}`).toMatchObject({ status: "done", output: ANSWER });
  } finally {
    await agent.close();
  }
  const after = await stored(fileLog(join(folder, "runs")), RUN_ID);
  expect(after.slice(0, before.length), `nothing recorded is lost ${where}`).toEqual(before);
  checkLog(after);
  expect(await verify(fileLog(join(folder, "runs")), RUN_ID), where).toMatchObject({ ok: true, seq: after.length });
  checkLedger(after, readLedger(folder), where);
  return true;
}

/** I4, I5, I7, I8: what the tools wrote themselves against what the log says. */
export function checkLedger(events: readonly Event[], ledger: readonly LedgerLine[], where: string): void {
  const started = new Set<string>();
  for (const event of events) {
    if (event.type === "tool_start") started.add(`${event.data.callId}/${event.data.attempt}`);
  }
  const runs = new Map<string, number>();
  const perCall = new Map<string, number>();
  for (const { at, tool, callId, attempt, key } of ledger) {
    if (at === "end") continue;
    const execution = `${callId}/${attempt}`;
    expect(started.has(execution), `I4 ${where}: ${execution} began without a durable tool_start`).toBe(true);
    expect(key, `I5 ${where}: the same key for every attempt`).toBe(`${RUN_ID}:${callId}`);
    runs.set(execution, (runs.get(execution) ?? 0) + 1);
    if (tool === "pay") perCall.set(callId, (perCall.get(callId) ?? 0) + 1);
  }
  for (const [execution, count] of runs) expect(count, `I5 ${where}: ${execution}`).toBe(1);
  for (const [callId, count] of perCall) expect(count, `P11 ${where}: ${callId} is not idempotent`).toBe(1);

  const ended = new Set(ledger.filter(({ at }) => at === "end").map(({ callId }) => callId));
  const outcomes = new Map<string, string>();
  for (const event of events) {
    if (event.type === "tool_result" && event.data.late !== true) outcomes.set(event.data.callId, event.data.outcome);
  }
  for (const callId of ended)
    expect(outcomes.has(callId), `I7 ${where}: ${callId} ended without an outcome`).toBe(true);
  for (const [callId, outcome] of outcomes) {
    if (outcome === "ok") expect(ended.has(callId), `I8 ${where}: ${callId} is ok and never ended`).toBe(true);
  }
}
