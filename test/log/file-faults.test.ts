import { readFileSync, statSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { fileLog, type Event } from "rubato";
import { openFileLog } from "../../runtime/log/file.ts";
import { systemDisk, type Disk } from "../../runtime/log/file/writer.ts";
import { events } from "../contracts/log-fixture.ts";
import { filesBelow, newFolder, readAll, refusal, segmentPath } from "./file-fixture.ts";
import { tokens } from "./file-tokens.ts";

function failure(code: string): Error {
  return Object.assign(new Error(code), { code });
}

/** A disk that fails where the test says so. `room`: bytes that it still takes before it is full. */
function faultyDisk(): Disk & { room: number; writeCode: string; truncates: boolean; syncs: boolean; short: number } {
  const disk = {
    room: Infinity,
    writeCode: "ENOSPC",
    truncates: true,
    syncs: true,
    /** Bytes that one call writes at most. */
    short: Infinity,
    write(fd: number, bytes: Uint8Array, from: number, length: number, position: number): number {
      // Like a full disk: what still fits is written without a word.
      const count = Math.min(length, disk.room, disk.short);
      if (count === 0) throw failure(disk.writeCode);
      disk.room -= count;
      return systemDisk.write(fd, bytes, from, count, position);
    },
    truncate(fd: number, length: number): void {
      if (!disk.truncates) throw failure("EIO");
      systemDisk.truncate(fd, length);
    },
    async sync(fd: number): Promise<void> {
      if (!disk.syncs) throw failure("EIO");
      await systemDisk.sync(fd);
    },
  };
  return disk;
}

/** Deltas and control records in one batch. */
const BATCH: readonly Event[] = [...tokens(4, ["The", " quick", " fox"]), ...events("r", 7, 8)];

/** How long that is in a file. */
async function bytesOfBatch(): Promise<number> {
  const folder = newFolder();
  const log = fileLog(folder);
  await log.append("r", { epoch: 1, events: events("r", 1, 3) });
  const before = statSync(segmentPath(folder)).size;
  await log.append("r", { epoch: 1, events: BATCH });
  return statSync(segmentPath(folder)).size - before;
}

describe("a disk that fails (P4)", () => {
  it("a short write goes on where it stopped", async () => {
    const folder = newFolder();
    const disk = faultyDisk();
    disk.short = 7;
    const log = openFileLog(folder, {}, { disk });
    await log.append("r", { epoch: 1, events: events("r", 1, 3) });
    await log.append("r", { epoch: 1, events: BATCH });
    expect(await readAll(fileLog(folder))).toEqual([...events("r", 1, 3), ...BATCH]);
    expect(await log.check?.("r")).toBe(undefined);
  });

  it("a full disk at every byte: the whole batch is refused, and the run goes on when there is room", async () => {
    const folder = newFolder();
    const disk = faultyDisk();
    const log = openFileLog(folder, {}, { disk });
    await log.append("r", { epoch: 1, events: [...events("r", 1, 3)] });
    const before = readFileSync(segmentPath(folder));
    const bytes = await bytesOfBatch();
    for (let room = 0; room < bytes; room++) {
      disk.room = room;
      const error = await refusal(() => log.append("r", { epoch: 1, events: BATCH }));
      expect(error.code).toBe("log");
      expect(error.message).toBe(
        `The disk is full: the log in "${folder}" could not be written. Free some space, then resume the run.`,
      );
      expect(readFileSync(segmentPath(folder)).equals(before)).toBe(true);
    }
    disk.room = Infinity;
    await log.append("r", { epoch: 1, events: BATCH });
    await log.append("r", { epoch: 1, events: events("r", 9, 9) });
    expect(await readAll(fileLog(folder))).toEqual([...events("r", 1, 3), ...BATCH, ...events("r", 9, 9)]);
    expect(await log.check?.("r")).toBe(undefined);
  });

  it("a full disk at the beginning of a run: there is no run", async () => {
    for (const durability of ["process", "power"] as const) {
      const folder = newFolder();
      const disk = faultyDisk();
      const log = openFileLog(folder, { durability }, { disk });
      for (const room of [0, 10, 300, 600]) {
        disk.room = room;
        const error = await refusal(() => log.append("r", { epoch: 1, events: events("r", 1, 3) }));
        expect(error.message).toContain("The disk is full");
        expect(filesBelow(folder)).toEqual([".inbox"]);
        expect(await log.list()).toEqual([]);
      }
      disk.room = Infinity;
      await log.append("r", { epoch: 1, events: events("r", 1, 3) });
      expect(await readAll(log)).toHaveLength(3);
    }
  });

  it("what cannot be cut off again is not read, and its writer is dead", async () => {
    const bytes = await bytesOfBatch();
    for (let room = 1; room < bytes; room += Math.ceil(bytes / 6)) {
      const folder = newFolder();
      const disk = faultyDisk();
      const log = openFileLog(folder, {}, { disk });
      await log.append("r", { epoch: 1, events: events("r", 1, 3) });
      Object.assign(disk, { room, writeCode: "EIO", truncates: false });
      const error = await refusal(() => log.append("r", { epoch: 1, events: BATCH }));
      expect(error.message).toContain("reports an error. Check the disk");
      Object.assign(disk, { room: Infinity, truncates: true });
      expect((await refusal(() => log.append("r", { epoch: 1, events: BATCH }))).code).toBe("log");
      for (const seen of [log, fileLog(folder)]) {
        expect(await readAll(seen)).toEqual(events("r", 1, 3));
        expect((await seen.head("r")).seq).toBe(3);
      }
      expect(await log.claim("r", { takeover: true })).toEqual({ claimed: true, epoch: 2, seq: 3 });
      await log.append("r", { epoch: 2, events: BATCH });
      expect(await readAll(fileLog(folder))).toEqual([...events("r", 1, 3), ...BATCH]);
    }
  });

  it("P3 after a failed fsync the writer is dead, whatever the next one says; a new claim reads what is there", async () => {
    const folder = newFolder();
    const disk = faultyDisk();
    const log = openFileLog(folder, { durability: "power" }, { disk });
    await log.append("r", { epoch: 1, events: events("r", 1, 3) });
    disk.syncs = false;
    expect((await refusal(() => log.append("r", { epoch: 1, events: events("r", 4, 4) }))).message).toContain(
      "Check the disk",
    );
    disk.syncs = true;
    for (const seq of [4, 5]) {
      expect((await refusal(() => log.append("r", { epoch: 1, events: events("r", seq, seq) }))).code).toBe("log");
    }
    // Not told as stored: this log does not read it. Whoever claims finds out.
    expect(await readAll(log)).toEqual(events("r", 1, 3));
    const claim = await log.claim("r", { takeover: true });
    expect(claim).toEqual({ claimed: true, epoch: 2, seq: 4 });
    await log.append("r", { epoch: 2, events: events("r", 5, 5) });
    expect(await readAll(log)).toEqual(events("r", 1, 5));
  });

  it("power: an append is answered after its fsync, and is not read before", async () => {
    const folder = newFolder();
    const gates: (() => void)[] = [];
    const disk: Disk = { ...systemDisk, sync: () => new Promise((resolve) => gates.push(resolve)) };
    const log = openFileLog(folder, { durability: "power" }, { disk });
    let stored = 0;
    const append = async (from: number, to: number): Promise<void> => {
      await log.append("r", { epoch: 1, events: events("r", from, to) });
      stored = to;
    };
    for (const [from, to] of [
      [1, 2],
      [3, 5],
    ] as const) {
      const appending = append(from, to);
      await new Promise((resolve) => setImmediate(resolve));
      expect(stored).toBe(from - 1);
      expect(await readAll(log)).toHaveLength(from - 1);
      expect((await log.head("r")).seq).toBe(from - 1);
      gates.shift()?.();
      await appending;
      expect(await readAll(log)).toHaveLength(to);
    }
  });

  it("an event that is no JSON is refused, and the run goes on", async () => {
    const folder = newFolder();
    const log = fileLog(folder);
    await log.append("r", { epoch: 1, events: events("r", 1, 3) });
    const data = { name: "n", data: null };
    const circular: Event = { seq: 5, timestamp: 1, runId: "r", type: "custom", data };
    Object.assign(data, { data: circular });
    expect((await refusal(() => log.append("r", { epoch: 1, events: [...tokens(4, ["x"]), circular] }))).code).toBe(
      "log",
    );
    const timeless: Event = { seq: 4, timestamp: Number.NaN, runId: "r", type: "custom", data: { name: "n", data: 1 } };
    expect((await refusal(() => log.append("r", { epoch: 1, events: [timeless] }))).code).toBe("log");
    await log.append("r", { epoch: 1, events: BATCH });
    expect(await readAll(fileLog(folder))).toEqual([...events("r", 1, 3), ...BATCH]);
    expect(await log.check?.("r")).toBe(undefined);
  });
});
