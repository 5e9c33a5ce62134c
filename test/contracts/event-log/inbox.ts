import { expect } from "vitest";
import type { EventLog } from "rubato";
import { events, TEXTS } from "../log-fixture.ts";
import { append, told, type Suite } from "./suite.ts";

const commands = async (log: EventLog, runId: string, epoch = 1): Promise<unknown[]> =>
  (await log.inbox.take(runId, epoch)).map(({ command }) => command);

/** Commands from one process to the owner of a run in another. */
export function inboxContract({ on }: Suite): void {
  on("a command reaches the owner once, and its answer reaches who posted it once", async (log, other) => {
    await append(log, "r", events("r", 1, 1));
    const id = await other.inbox.post("r", { type: "interrupt", mode: "now" });
    expect(await log.inbox.take("r", 1)).toEqual([{ id, command: { type: "interrupt", mode: "now" } }]);
    expect(await log.inbox.take("r", 1)).toEqual([]);
    expect(await other.inbox.answered("r", id)).toBe(undefined);
    await log.inbox.answer("r", id, { accepted: true, seq: 7 });
    expect(await other.inbox.answered("r", id)).toEqual({ accepted: true, seq: 7 });
    expect(await other.inbox.answered("r", id)).toBe(undefined);
  });

  on("commands come in the order in which they were posted, and each run has its own", async (log, other) => {
    for (const runId of ["a", "A", "b.a"]) await append(log, runId, events(runId, 1, 1));
    for (let at = 0; at < 50; at++) {
      for (const runId of ["a", "A", "b.a"]) await other.inbox.post(runId, `${runId} ${at}`);
    }
    for (const runId of ["a", "A", "b.a"]) {
      expect(await commands(log, runId)).toEqual(Array.from({ length: 50 }, (_, at) => `${runId} ${at}`));
    }
  });

  on("texts arrive as they were", async (log, other) => {
    await append(log, "r", events("r", 1, 1));
    const command = { list: [...TEXTS], null: null, number: 0.5 };
    const id = await other.inbox.post("r", command);
    expect(await commands(log, "r")).toEqual([command]);
    await log.inbox.answer("r", id, command);
    expect(await other.inbox.answered("r", id)).toEqual(command);
  });

  on("what was withdrawn is not taken, what was taken is not withdrawn", async (log, other) => {
    await append(log, "r", events("r", 1, 1));
    const first = await other.inbox.post("r", 1);
    const second = await other.inbox.post("r", 2);
    expect(await other.inbox.withdraw("r", first)).toBe(true);
    expect(await other.inbox.withdraw("r", first)).toBe(false);
    expect(await commands(log, "r")).toEqual([2]);
    expect(await other.inbox.withdraw("r", second)).toBe(false);
    await log.inbox.answer("r", second, "late");
    expect(await other.inbox.answered("r", second)).toBe("late");
    expect(await other.inbox.withdraw("r", "no such id")).toBe(false);
  });

  on("taken or withdrawn, never both, however they race", async (log, other) => {
    await append(log, "r", events("r", 1, 1));
    const ids: string[] = [];
    for (let at = 0; at < 60; at++) ids.push(await other.inbox.post("r", at));
    const taken: string[] = [];
    const withdrawn: string[] = [];
    await Promise.all(
      ids.map(async (id, at) => {
        if (at % 7 === 3) for (const command of await log.inbox.take("r", 1)) taken.push(command.id);
        if (await other.inbox.withdraw("r", id)) withdrawn.push(id);
      }),
    );
    for (const command of await log.inbox.take("r", 1)) taken.push(command.id);
    expect([...taken, ...withdrawn].sort()).toEqual([...ids].sort());
    expect(taken.length).toBeGreaterThan(0);
  });

  on("an owner of another epoch takes nothing", async (log, other) => {
    await append(log, "r", events("r", 1, 1), 2);
    await other.inbox.post("r", "wait");
    for (const epoch of [0, 1, 3]) expect(await commands(log, "r", epoch)).toEqual([]);
    await other.claim("r", { takeover: true });
    expect(await commands(log, "r", 2)).toEqual([]);
    expect(await commands(other, "r", 3)).toEqual(["wait"]);
  });

  on("only a command that was taken is answered, and only under its run", async (log, other) => {
    await append(log, "r", events("r", 1, 1));
    await append(log, "s", events("s", 1, 1));
    const id = await other.inbox.post("r", "command");
    await log.inbox.answer("r", id, "early");
    expect(await other.inbox.answered("r", id)).toBe(undefined);
    expect(await commands(log, "r")).toEqual(["command"]);
    await log.inbox.answer("s", id, "of another run");
    await log.inbox.answer("r", "../escape", "nowhere");
    expect(await other.inbox.answered("r", id)).toBe(undefined);
    expect(await other.inbox.answered("s", id)).toBe(undefined);
    expect(await other.inbox.answered("r", "../escape")).toBe(undefined);
  });

  on("who waits for a command or an answer is told", async (log, other) => {
    await append(log, "r", events("r", 1, 1));
    let id = "";
    await told(
      (onChange) => log.inbox.watch("r", onChange),
      async () => {
        id = await other.inbox.post("r", "command");
      },
      async () => (await commands(log, "r")).length === 1,
    );
    await told(
      (onChange) => other.inbox.watch("r", onChange),
      async () => log.inbox.answer("r", id, "answer"),
      async () => (await other.inbox.answered("r", id)) === "answer",
    );
  });
}
