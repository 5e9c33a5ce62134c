import { appendFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fileLog, type Event } from "rubato";
import { openFileLog } from "../../runtime/log/file.ts";
import { isAlive, thisProcess } from "../../runtime/log/file/owner.ts";
import { owners } from "../../runtime/log/file/owners.ts";
import { pages } from "../../runtime/log/file/pages.ts";
import { segmentReader } from "../../runtime/log/file/reader.ts";
import { systemDisk, type Disk } from "../../runtime/log/file/writer.ts";
import { events } from "../contracts/log-fixture.ts";
import { newFolder, readAll, refusal, segmentPath } from "./file-fixture.ts";

const DEAD = { ...thisProcess(), started: "1" };

describe("owners of a run in files (P21, I16)", () => {
  it("a stale owner that goes on in the middle of an append: its batch is in the log only if it was there before the claim", async () => {
    for (const claimed of ["before the write", "after the write"] as const) {
      const folder = newFolder();
      const other = fileLog(folder);
      let hold = false;
      const claim = async (): Promise<void> => {
        hold = false;
        await other.claim("r", { takeover: true });
      };
      let claiming: Promise<void> | undefined;
      const disk: Disk = {
        ...systemDisk,
        // The owner is stopped here, and the claim happens meanwhile.
        write(...write) {
          if (!hold) return systemDisk.write(...write);
          if (claimed === "before the write") claiming = claim();
          const count = systemDisk.write(...write);
          if (claimed === "after the write") claiming = claim();
          return count;
        },
      };
      const log = openFileLog(folder, {}, { disk });
      await log.append("r", { epoch: 1, events: events("r", 1, 3) });
      hold = true;
      expect((await refusal(() => log.append("r", { epoch: 1, events: events("r", 4, 5) }))).code).toBe("not_owner");
      await claiming;
      const seq = claimed === "before the write" ? 3 : 5;
      expect(await other.head("r")).toMatchObject({ seq, epoch: 2 });
      await other.append("r", { epoch: 2, events: events("r", seq + 1, seq + 2) });
      for (const seen of [log, other, fileLog(folder)]) {
        expect(await readAll(seen)).toEqual(events("r", 1, seq + 2));
        expect(await seen.check?.("r")).toBe(undefined);
      }
    }
  });

  it("power: an owner that lost the run while its fsync ran is told so", async () => {
    const folder = newFolder();
    const other = fileLog(folder);
    let claims = false;
    const disk: Disk = {
      ...systemDisk,
      async sync(fd) {
        await systemDisk.sync(fd);
        if (claims) await other.claim("r", { takeover: true });
      },
    };
    const log = openFileLog(folder, { durability: "power" }, { disk });
    await log.append("r", { epoch: 1, events: events("r", 1, 3) });
    claims = true;
    expect((await refusal(() => log.append("r", { epoch: 1, events: events("r", 4, 4) }))).code).toBe("not_owner");
    // It was there before the claim: that is the one of the two that is true.
    expect(await readAll(other)).toEqual(events("r", 1, 4));
  });

  it("a stale owner's writes behind the claim are out for good, however they look", async () => {
    const folder = newFolder();
    const log = fileLog(folder);
    await log.append("r", { epoch: 1, events: events("r", 1, 3) });
    const stale = readFileSync(segmentPath(folder));
    await log.append("r", { epoch: 1, events: events("r", 4, 4) });
    const line = readFileSync(segmentPath(folder)).subarray(stale.length);
    writeFileSync(segmentPath(folder), stale);
    const other = fileLog(folder);
    expect(await other.claim("r", { takeover: true })).toEqual({ claimed: true, epoch: 2, seq: 3 });
    appendFileSync(segmentPath(folder), line);
    await other.append("r", { epoch: 2, events: events("r", 4, 4, { text: "new" }) });
    expect(await readAll(fileLog(folder))).toEqual([...events("r", 1, 3), ...events("r", 4, 4, { text: "new" })]);
    expect(await fileLog(folder).check?.("r")).toBe(undefined);
  });

  it("O4 a reader that looked before a claim and read behind it begins again", async () => {
    const folder = newFolder();
    const log = fileLog(folder);
    await log.append("r", { epoch: 1, events: events("r", 1, 3) });
    const before = readFileSync(segmentPath(folder));
    await log.append("r", { epoch: 1, events: events("r", 4, 4) });
    const late = readFileSync(segmentPath(folder)).subarray(before.length);
    writeFileSync(segmentPath(folder), before);
    await fileLog(folder).claim("r", { takeover: true });
    appendFileSync(segmentPath(folder), late);
    for (const what of ["read", "head"] as const) {
      const reader = segmentReader();
      const real = owners(reader, Date.now);
      let looks = 0;
      // The first look is from before the claim.
      const settle = (...run: Parameters<typeof real.settle>): readonly number[] =>
        looks++ === 0 ? [1] : real.settle(...run);
      const seen = pages({ root: folder, reader, owners: { ...real, settle }, ownEnd: () => undefined, power: false });
      if (what === "read") expect(seen.read("r", { after: 0, limit: 10 })).toEqual(events("r", 1, 3));
      else expect(seen.head("r")).toEqual({ seq: 3, epoch: 2, owned: true });
      expect(looks).toBe(2);
    }
  });

  it("a claimant that died between its mark and its segment blocks nobody", async () => {
    const folder = newFolder();
    const log = fileLog(folder);
    await log.append("r", { epoch: 1, events: events("r", 1, 3) });
    await log.release("r", 1);
    writeFileSync(join(folder, "r", "000002.claim"), JSON.stringify(DEAD));
    // A reader makes its segment; nothing is lost, nobody owns it.
    expect(await readAll(log)).toEqual(events("r", 1, 3));
    expect(await log.head("r")).toEqual({ seq: 3, epoch: 2, owned: false });
    expect(await log.claim("r")).toEqual({ claimed: true, epoch: 3, seq: 3 });
    writeFileSync(join(folder, "r", "000004.claim"), JSON.stringify(DEAD));
    expect((await refusal(() => log.append("r", { epoch: 3, events: events("r", 4, 4) }))).code).toBe("not_owner");
    expect(await fileLog(folder).claim("r")).toEqual({ claimed: true, epoch: 5, seq: 4 });
    expect(await log.check?.("r")).toBe(undefined);
  });

  it("an owner that has its file open sees that the run was claimed, claimed and let go, or deleted", async () => {
    for (const durability of ["process", "power"] as const) {
      const folder = newFolder();
      const log = fileLog(folder, { durability });
      for (const runId of ["claimed", "released", "deleted"])
        await log.append(runId, { epoch: 1, events: events(runId, 1, 1) });
      const other = fileLog(folder);
      for (const runId of ["claimed", "released"]) await other.claim(runId, { takeover: true });
      await other.release("released", 2);
      await other.delete("deleted");
      const next = (runId: string) => refusal(() => log.append(runId, { epoch: 1, events: events(runId, 2, 2) }));
      expect((await next("claimed")).code).toBe("not_owner");
      expect((await next("released")).code).toBe("not_owner");
      const gone = await next("deleted");
      expect([gone.code, gone.message.includes("was deleted while it was in use")]).toEqual(["log", true]);
    }
  });

  it("P1 an owner whose run was deleted finds out with the next control event, whatever that is", async () => {
    const at = { timestamp: 1_700, runId: "r", seq: 5 } as const;
    const controls: Event[] = [
      { ...at, type: "thinking", data: { step: 1, attempt: 1, messageId: "m1", model: "m" } },
      { ...at, type: "tool_result", data: { callId: "1.0", attempt: 1, outcome: "ok", from: "running" } },
      { ...at, type: "tool_start", data: { callId: "1.0", attempt: 1, name: "t", idempotencyKey: "r:1.0" } },
      { ...at, type: "interrupt", data: { by: "user", reason: "", mode: "now" } },
    ];
    const token = { kind: "text", text: "x", messageId: "m1", attempt: 1, offset: 0 } as const;
    for (const control of controls) {
      const folder = newFolder();
      const log = fileLog(folder);
      await log.append("r", { epoch: 1, events: events("r", 1, 3) });
      await fileLog(folder).delete("r");
      await log.append("r", { epoch: 1, events: [{ ...at, seq: 4, type: "token_stream", data: token }] });
      expect((await refusal(() => log.append("r", { epoch: 1, events: [control] }))).code, control.type).toBe("log");
    }
  });

  it("an owner that died is none; one on another host is", async () => {
    const folder = newFolder();
    const log = fileLog(folder);
    await log.append("r", { epoch: 1, events: events("r", 1, 3) });
    for (const [owner, owned] of [
      [DEAD, false],
      [{ ...thisProcess(), boot: "another" }, false],
      [{ ...thisProcess(), pid: 0x7fffffff }, false],
      [{ ...DEAD, host: `not ${hostname()}` }, true],
      [thisProcess(), true],
      [{ ...thisProcess(), started: "" }, true],
      [{ ...thisProcess(), started: "", pid: 0x7fffffff }, false],
    ] as const) {
      expect(isAlive(owner), JSON.stringify(owner)).toBe(owned);
      rmSync(join(folder, "r", "000002.claim"), { force: true });
      rmSync(segmentPath(folder, 2), { force: true });
      writeFileSync(join(folder, "r", "000002.claim"), JSON.stringify(owner));
      expect(await fileLog(folder).head("r")).toEqual({ seq: 3, epoch: 2, owned });
      expect(await fileLog(folder).list()).toMatchObject([{ runId: "r", owned }]);
    }
  });

  it("an owner whose run was deleted by another log is told so", async () => {
    const folder = newFolder();
    const log = fileLog(folder);
    await log.append("r", { epoch: 1, events: events("r", 1, 3) });
    expect(await fileLog(folder).delete("r")).toBe(true);
    expect((await refusal(() => log.append("r", { epoch: 1, events: events("r", 4, 4) }))).message).toContain(
      "deleted",
    );
    expect(await readAll(log)).toEqual([]);
  });
});
