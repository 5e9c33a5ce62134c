import { expect } from "vitest";
import { fileLog } from "rubato";
import { events } from "../contracts/log-fixture.ts";
import { ended, message, startChild } from "./children.ts";
import { newFolder, readAll } from "./file-fixture.ts";

/** So many processes claim so many runs at the same time: each run has one owner, and only that one's event is in its log (P21). */
export async function claimTogether(processes: number, runs: number): Promise<void> {
  const folder = newFolder();
  const log = fileLog(folder);
  for (let at = 0; at < runs; at++) {
    await log.append(`r${at}`, { epoch: 1, events: events(`r${at}`, 1, 2) });
    await log.release(`r${at}`, 1);
  }
  const children = await Promise.all(Array.from({ length: processes }, () => startChild("claim", folder, `${runs}`)));
  try {
    const answers = children.map((child) => message(child));
    for (const child of children) child.send("begin");
    const won = (await Promise.all(answers)).map((answer) => Object.entries(Object(answer)));
    const all = won.flat();
    expect(all.map(([runId]) => runId).sort()).toEqual(Array.from({ length: runs }, (_, at) => `r${at}`).sort());
    for (const [runId, epoch] of all) {
      expect(epoch).toBe(2);
      const [, , owner, ...more] = await readAll(log, runId);
      const winner = children.find((_, at) => won[at]?.some(([id]) => id === runId));
      expect(owner).toMatchObject({ seq: 3, data: { name: "owner", data: winner?.pid } });
      expect(more).toEqual([]);
      expect(await log.head(runId)).toEqual({ seq: 3, epoch: 2, owned: true });
      expect(await log.claim(runId)).toEqual({ claimed: false, reason: "owned" });
    }
  } finally {
    for (const child of children) child.kill("SIGKILL");
    await Promise.all(children.map((child) => ended(child)));
  }
  for (let at = 0; at < runs; at++) {
    expect(await log.claim(`r${at}`)).toEqual({ claimed: true, epoch: 3, seq: 3 });
    expect(await log.check?.(`r${at}`)).toBe(undefined);
  }
}
