import { expect, it } from "vitest";
import { memoryLog, type ChatModel } from "rubato";
import type { EventLog } from "../../runtime/log/event-log.ts";
import { deferred, quiet, testAgent, until } from "../support/agents.ts";
import { checkLog } from "../support/invariants.ts";
import { stored } from "../support/logs.ts";

interface CollectingLog extends EventLog {
  /** The types of the events of each append. */
  readonly appends: readonly string[];
  /** The turn of the event loop ends. */
  endTurn(): void;
}

/** A log that asks for deltas once per turn, and whose turns end when the test says so. */
function collectingLog(base = memoryLog()): CollectingLog {
  const appends: string[] = [];
  const due: (() => void)[] = [];
  return {
    ...base,
    appends,
    afterTurn: (callback) => due.push(callback),
    append(runId, batch) {
      appends.push(batch.events.map(({ type }) => type).join(" "));
      return base.append(runId, batch);
    },
    endTurn() {
      for (const callback of due.splice(0)) callback();
    },
  };
}

/** Says the words of each part, and waits for its gate behind it. */
function gated(parts: readonly { readonly words: number; readonly gate?: Promise<void> }[]): ChatModel {
  return {
    name: "gated",
    async *stream() {
      for (const { words, gate } of parts) {
        for (let word = 0; word < words; word++) yield { type: "text", text: "word " };
        await gate;
      }
      yield { type: "finish", finish: "stop" };
    },
  };
}

it("H4 deltas of one turn and the message behind them are one append, without waiting for the end of the turn", async () => {
  const log = collectingLog();
  const { agent } = testAgent({ log, model: gated([{ words: 3 }]) });
  await agent.run("go").settled();
  expect(log.appends).toEqual([
    "run_start user_input input_delivered thinking",
    "token_stream token_stream token_stream message done",
  ]);
});

it("H4 deltas that nothing follows are appended when their turn ends, once per turn", async () => {
  const log = collectingLog();
  const gates = [deferred(), deferred()] as const;
  const model = gated([
    { words: 2, gate: gates[0].promise },
    { words: 2, gate: gates[1].promise },
  ]);
  const { agent } = testAgent({ log, model });
  const run = agent.run("go");
  for (const gate of gates) {
    await quiet();
    // Told already, and counted as not stored.
    const before = run.durableSeq;
    expect(run.state.seq).toBe(before + 2);
    log.endTurn();
    expect(log.appends.at(-1)).toBe("token_stream token_stream");
    expect(run.durableSeq).toBe(before + 2);
    log.endTurn();
    gate.resolve();
  }
  await run.settled();
  expect(log.appends).toHaveLength(4);
  checkLog(await stored(log, run.id));
});

it("H4 an interrupt waits for no turn: it is stored at once, behind the deltas before it", async () => {
  const log = collectingLog();
  const gate = deferred();
  const { agent } = testAgent({ log, model: gated([{ words: 2, gate: gate.promise }]) });
  const run = agent.run("go");
  await until(run, "token_stream", ({ data }) => data.offset > 0);
  const receipt = run.interrupt("enough");
  expect(log.appends[1]).toMatch(/^token_stream token_stream interrupt/);
  gate.resolve();
  await receipt;
  log.endTurn();
  await agent.close();
  checkLog(await stored(log, run.id));
});

it("H6 a log that fails at the end of a turn ends the run, and the turns after it do nothing", async () => {
  const base = memoryLog();
  let full = false;
  const log = collectingLog({
    ...base,
    append(runId, batch) {
      if (full) throw new Error("disk full");
      return base.append(runId, batch);
    },
  });
  const gate = deferred();
  const { agent } = testAgent({ log, model: gated([{ words: 2, gate: gate.promise }]) });
  const run = agent.run("go");
  await quiet();
  full = true;
  log.endTurn();
  expect((await run.settled()).status).toBe("failed");
  const tried = log.appends.length;
  log.endTurn();
  gate.resolve();
  await quiet();
  log.endTurn();
  expect(log.appends).toHaveLength(tried);
});
