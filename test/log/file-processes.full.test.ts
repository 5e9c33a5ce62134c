import { describe, expect, it } from "vitest";
import { fileLog } from "rubato";
import { ended, message, startChild } from "./children.ts";
import { claimTogether } from "./file-claims.ts";
import { newFolder, readAll } from "./file-fixture.ts";

describe("several processes over one log in files", () => {
  it("P21 of four that claim at the same time one wins each run; when it is killed the run is free", async () => {
    await claimTogether(4, 12);
  });

  it("P3 kill -9 in the middle of a stream: everything that was answered as stored is there, and the run goes on", async () => {
    const folder = newFolder();
    const child = await startChild("stream", folder);
    child.send("begin");
    let stored = 0;
    child.on("message", (seq) => {
      stored = Number(seq);
    });
    while (stored < 2_000) await message(child);
    const log = fileLog(folder);
    expect(await log.claim("r")).toEqual({ claimed: false, reason: "owned" });
    // Read from outside while it writes: whole batches, in order.
    const seen = await readAll(log);
    expect(seen.map(({ seq }) => seq)).toEqual(seen.map((_, at) => at + 1));
    child.kill("SIGKILL");
    await ended(child);
    const claim = await log.claim("r");
    expect(claim).toMatchObject({ claimed: true, epoch: 2 });
    const all = await readAll(log);
    expect(all.length).toBeGreaterThanOrEqual(stored);
    expect(all.slice(0, seen.length)).toEqual(seen);
    expect(await log.check?.("r")).toBe(undefined);
  });

  it("P21 an owner that is stopped, loses its run and goes on: nothing of it enters the log any more", async () => {
    const folder = newFolder();
    const child = await startChild("stream", folder);
    child.send("begin");
    let failed: unknown;
    child.on("message", (said) => {
      if (typeof said === "object") failed = said;
    });
    await message(child);
    child.kill("SIGSTOP");
    const log = fileLog(folder);
    const claim = await log.claim("r", { takeover: true });
    if (!claim.claimed) throw new Error("not claimed");
    const before = await readAll(log);
    child.kill("SIGCONT");
    while (failed === undefined) await message(child);
    expect(failed).toEqual({ failed: expect.stringContaining("has a newer owner") });
    expect(await readAll(fileLog(folder))).toEqual(before);
    expect(before).toHaveLength(claim.seq);
    child.kill("SIGKILL");
    await ended(child);
  });
});
