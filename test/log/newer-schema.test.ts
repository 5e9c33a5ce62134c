import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { createAgent, fileLog, replay, verify, type Event } from "rubato";
import { scriptedModel } from "../../runtime/models/scripted.ts";
import { stored } from "../support/logs.ts";
import { events } from "../contracts/log-fixture.ts";

it("P9 a log of a newer schema, with event types that nobody here knows, is read and listed, and not folded or resumed", async () => {
  const folder = mkdtempSync(join(tmpdir(), "rubato-newer-"));
  try {
    const [start, ...rest] = events("r", 1, 2);
    if (start?.type !== "run_start") throw new Error("the fixture begins with run_start");
    const unknown: Event = JSON.parse('{"seq":3,"timestamp":1003,"runId":"r","type":"teleport","data":{"to":"Mars"}}');
    const written = [{ ...start, data: { ...start.data, schema: 99 } }, ...rest, unknown];
    const log = fileLog(folder);
    await log.append("r", { epoch: 1, events: written });
    await log.release("r", 1);

    const again = fileLog(folder);
    expect(await stored(again, "r")).toEqual(written);
    expect(await again.check?.("r")).toBe(undefined);
    expect(await again.list()).toMatchObject([{ runId: "r", seq: 3 }]);
    const agent = createAgent({ name: "ann", model: scriptedModel([["x"]]), log: again });
    expect(await agent.resume("r")).toMatchObject({ accepted: false, reason: "newer_schema" });
    await expect(verify(again, "r")).rejects.toMatchObject({ code: "newer_schema" });
    await expect(replay(again, "r").next()).rejects.toMatchObject({ code: "newer_schema" });
    expect(await stored(again, "r")).toEqual(written);
    await agent.close();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
