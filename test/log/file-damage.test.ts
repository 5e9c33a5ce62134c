import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { fileLog, type Event, type EventLog } from "rubato";
import { crcAt, crcOf, crcText } from "../../runtime/log/file/crc.ts";
import { events } from "../contracts/log-fixture.ts";
import { linesOf, newFolder, readAll, refusal, replaceFile, segmentPath } from "./file-fixture.ts";
import { tokens } from "./file-tokens.ts";

/** A run with every kind of line: control records alone and in a batch, deltas in full and short, alone and several in a line. */
const BATCHES: readonly (readonly Event[])[] = [
  events("r", 1, 2),
  tokens(3, ["The"]),
  tokens(4, [" quick"], 3),
  tokens(5, [" brown", " fox"], 9),
  [...tokens(7, [" jumps"], 19), ...events("r", 8, 8)],
  events("r", 9, 11),
  [
    {
      seq: 12,
      timestamp: 1,
      runId: "r",
      type: "tool_progress",
      data: { callId: "1.0", attempt: 1, value: { at: "@ @" } },
    },
  ],
  events("r", 13, 13),
];
const GIVEN = BATCHES.flat();

async function write(folder: string): Promise<{ path: string; bytes: Buffer; lines: string[] }> {
  const log = fileLog(folder);
  for (const batch of BATCHES) await log.append("r", { epoch: 1, events: batch });
  const path = segmentPath(folder);
  return { path, bytes: readFileSync(path), lines: linesOf(path) };
}

/** The last seq of each line; 0 for the header. */
const ENDS = [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13];
/** The last seqs of the batches. */
const STORED = BATCHES.map((batch) => batch.at(-1)?.seq ?? 0);

const firstOf = (line: number): number => (ENDS[line - 1] ?? 0) + 1;

/** What a reader may answer of a log that ends somewhere: whole batches, and no word of what comes after. */
async function expectPrefix(log: EventLog, upTo: number): Promise<void> {
  const last = STORED.filter((seq) => seq <= upTo).at(-1) ?? 0;
  expect(await readAll(log)).toEqual(GIVEN.slice(0, last));
  expect((await log.head("r")).seq).toBe(last);
  expect(await log.check?.("r")).toBe(undefined);
  expect(await log.list()).toMatchObject([{ runId: "r", seq: last }]);
}

/** Damage: what stands before it can be read, everything else is refused with the exact seq and the file. */
async function expectDamage(folder: string, seq: number): Promise<void> {
  const log = fileLog(folder);
  const before = await readAll(log).catch(() => []);
  const last = STORED.filter((stored) => stored < seq).at(-1) ?? 0;
  expect(before).toEqual(GIVEN.slice(0, Math.max(before.length, last)));
  expect(before.length).toBeLessThan(seq);
  const cases = [
    () => log.read("r", { after: before.length, limit: 10 }),
    () => log.head("r"),
    () => log.claim("r", { takeover: true }),
    () => fileLog(folder).claim("r", { takeover: true }),
  ];
  const untouched = readFileSync(segmentPath(folder));
  for (const act of cases) {
    const error = await refusal(act);
    expect(error.code).toBe("log");
    expect(error.message).toContain(`run "r" is damaged at seq ${seq},`);
    expect(error.message).toContain(segmentPath(folder));
  }
  expect(await log.check?.("r")).toMatchObject({ seq, file: segmentPath(folder) });
  expect(await log.list()).toMatchObject([{ runId: "r", problem: expect.stringContaining(`seq ${seq}`) }]);
  expect(readFileSync(segmentPath(folder)).equals(untouched)).toBe(true);
}

/** The lines with something changed in each, and every checksum made anew. */
function forged([header = "", ...records]: readonly string[], change: (line: string) => string): string {
  let crc = crcAt(Buffer.from(header), header.length - 11);
  const made = records.map((line) => {
    const body = Buffer.from(change(line).slice(0, -12));
    crc = crcOf(body, 0, body.length, crc);
    return `${body.toString()}"${crcText(crc)}"${line.slice(-2)}`;
  });
  return [header, ...made].join("");
}

describe("a log in files that was cut off (P4, P10)", () => {
  it("at every byte behind the header: whole batches stay, the next owner goes on behind them", async () => {
    const folder = newFolder();
    const { path, bytes, lines } = await write(folder);
    expect(lines).toHaveLength(ENDS.length);
    let end = Buffer.byteLength(lines[0] ?? "");
    const ends = ENDS.map((seq, line) => ({
      seq,
      at: line === 0 ? end : (end += Buffer.byteLength(lines[line] ?? "")),
    }));
    for (let cut = ends[0]?.at ?? 0; cut <= bytes.length; cut++) {
      const upTo = ends.filter(({ at }) => at <= cut).at(-1)?.seq ?? 0;
      replaceFile(path, bytes.subarray(0, cut));
      const last = STORED.filter((seq) => seq <= upTo).at(-1) ?? 0;
      const log = fileLog(folder);
      expect((await readAll(log)).length, `cut at ${cut}`).toBe(last);
      // Every byte is read; the slower checks are made where a line is all but complete, and some bytes in between.
      if (cut % 101 === 0 || ends.some(({ at }) => Math.abs(at - cut) < 2)) await expectPrefix(fileLog(folder), upTo);
    }
  });

  it("by a power failure that left zeros: whole batches stay", async () => {
    const folder = newFolder();
    const { path, bytes } = await write(folder);
    for (const zeros of [1, 10, 100, 200, 4_096]) {
      const kept = bytes.length - Math.min(zeros, 300);
      replaceFile(path, Buffer.concat([bytes.subarray(0, kept), Buffer.alloc(zeros)]));
      const log = fileLog(folder);
      const read = await readAll(log);
      expect(read).toEqual(GIVEN.slice(0, read.length));
      expect(STORED).toContain(read.length);
      expect(await log.check?.("r")).toBe(undefined);
    }
  });

  it("and claimed: the new owner goes on where whole batches end, and the rest is out for good", async () => {
    const folder = newFolder();
    const { path, bytes } = await write(folder);
    replaceFile(path, bytes.subarray(0, bytes.length - 5));
    const log = fileLog(folder);
    expect(await log.claim("r", { takeover: true })).toEqual({ claimed: true, epoch: 2, seq: 12 });
    await log.append("r", { epoch: 2, events: events("r", 13, 14, { text: "anew" }) });
    const expected = [...GIVEN.slice(0, 12), ...events("r", 13, 14, { text: "anew" })];
    expect(await readAll(fileLog(folder))).toEqual(expected);
    // What stands behind the end that the new segment names is not looked at.
    replaceFile(path, Buffer.concat([bytes, Buffer.from("anything\n")]));
    expect(await readAll(fileLog(folder))).toEqual(expected);
    expect(await fileLog(folder).check?.("r")).toBe(undefined);
  });
});

describe("a log in files that was changed: found where it is (I20)", () => {
  const at = ENDS.map((_, line) => line).slice(1);

  it("a flipped bit anywhere", async () => {
    const folder = newFolder();
    const { path, bytes, lines } = await write(folder);
    let start = 0;
    for (const [line, text] of lines.entries()) {
      const end = start + Buffer.byteLength(text);
      for (let byte = start; byte < end; byte++) {
        const bit = byte % 8;
        const broken = Buffer.from(bytes);
        broken[byte] = (broken[byte] ?? 0) ^ (1 << bit);
        replaceFile(path, broken);
        const log = fileLog(folder);
        const problem = await log.check?.("r");
        expect(problem, `line ${line}, byte ${byte - start}, bit ${bit}`).toMatchObject({
          seq: Math.max(1, firstOf(line)),
        });
        if ((byte - start) % 67 === 0 || byte === end - 1) await expectDamage(folder, Math.max(1, firstOf(line)));
      }
      start = end;
    }
  });

  it("a record deleted: all but the last, which nobody can miss without knowing the head", async () => {
    const folder = newFolder();
    const { path, lines } = await write(folder);
    for (const line of at) {
      replaceFile(path, lines.filter((_, other) => other !== line).join(""));
      if (line === at.at(-1)) await expectPrefix(fileLog(folder), 12);
      else await expectDamage(folder, firstOf(line));
    }
  });

  it("a record twice", async () => {
    const folder = newFolder();
    const { path, lines } = await write(folder);
    for (const line of at) {
      replaceFile(path, lines.flatMap((text, other) => (other === line ? [text, text] : [text])).join(""));
      await expectDamage(folder, (ENDS[line] ?? 0) + 1);
    }
  });

  it("two records swapped", async () => {
    const folder = newFolder();
    const { path, lines } = await write(folder);
    for (const line of at.slice(0, -1)) {
      const swapped = [...lines];
      swapped.splice(line, 2, lines[line + 1] ?? "", lines[line] ?? "");
      replaceFile(path, swapped.join(""));
      await expectDamage(folder, firstOf(line));
    }
  });

  it("a record put in: of another run, or made up", async () => {
    const folder = newFolder();
    const elsewhere = newFolder();
    const { path, lines } = await write(folder);
    const other = fileLog(elsewhere);
    // Written at another time than the first: in the same millisecond both headers would be the same bytes, and so would their first records.
    const begun = Date.now();
    while (Date.now() === begun) await new Promise((resolve) => setImmediate(resolve));
    await other.append("r", { epoch: 1, events: [...events("r", 1, 13, { text: "another" })] });
    const foreign = linesOf(segmentPath(elsewhere));
    for (const line of at) {
      for (const put of [foreign[firstOf(line)] ?? "", "{}\n", '[0,"x","00000000"]\n', "\n", '{"released":1}\n']) {
        replaceFile(path, [...lines.slice(0, line), put, ...lines.slice(line)].join(""));
        await expectDamage(folder, firstOf(line));
      }
    }
  });

  it("zeros in the place of a record: damage, but at the end, where a power failure leaves them", async () => {
    const folder = newFolder();
    const { path, lines } = await write(folder);
    for (const line of at) {
      const zeros = "\0".repeat(Buffer.byteLength(lines[line] ?? ""));
      replaceFile(path, lines.map((text, other) => (other === line ? zeros : text)).join(""));
      if (line === at.at(-1)) await expectPrefix(fileLog(folder), 12);
      else await expectDamage(folder, firstOf(line));
    }
  });

  it("a record of an earlier time in its place: its checksum fits, the hash does not", async () => {
    const folder = newFolder();
    const { path } = await write(folder);
    const log = fileLog(folder);
    await log.claim("r", { takeover: true });
    await log.append("r", { epoch: 2, events: events("r", 14, 15) });
    expect(await log.check?.("r")).toBe(undefined);
    // The same events, written by another: every line of it is right in itself.
    const elsewhere = newFolder();
    await fileLog(elsewhere).append("r", { epoch: 1, events: events("r", 1, 13) });
    replaceFile(path, readFileSync(segmentPath(elsewhere)));
    expect(await fileLog(folder).check?.("r")).toMatchObject({ seq: 13, file: path });
  });

  it("a word changed by somebody who made all checksums anew: the hash chain finds it, also in the deltas before a record", async () => {
    const folder = newFolder();
    const { path, lines } = await write(folder);
    for (const [word, other, seq] of [
      ["hello", "hullo", 2],
      // A batch has one hash, in the last of its control records.
      ['"id":"i9"', '"id":"j9"', 11],
      [" brown", " crown", 8],
      ["@ @", "@ !", 13],
    ] as const) {
      replaceFile(
        path,
        forged(lines, (line) => line.replace(word, other)),
      );
      expect(await readAll(fileLog(folder))).toHaveLength(13);
      expect(await fileLog(folder).check?.("r")).toMatchObject({ seq, file: path });
      expect((await refusal(() => fileLog(folder).claim("r", { takeover: true }))).message).toContain(`seq ${seq},`);
    }
  });

  it("a hash taken out by somebody who made all checksums anew", async () => {
    const folder = newFolder();
    const { path, lines } = await write(folder);
    // Where a delta follows, and where a control record does.
    for (const [line, seq, found] of [
      [2, 2, 3],
      [7, 8, 11],
      [10, 11, 12],
    ] as const) {
      const text = lines[line] ?? "";
      expect(text).toContain(',"h":"');
      replaceFile(
        path,
        forged(lines, (other) => (other === text ? text.replace(/,"h":"[0-9a-f]{32}"/, "") : other)),
      );
      expect(await readAll(fileLog(folder))).toHaveLength(13);
      expect(await fileLog(folder).check?.("r")).toMatchObject({ seq, problem: expect.stringContaining("no hash") });
      // Nor does it help to say that the batch goes on: what follows has to.
      const open = text.replace(/,"h":"[0-9a-f]{32}"/, ',"b":1');
      replaceFile(
        path,
        forged(lines, (other) => (other === text ? open : other)),
      );
      expect(await fileLog(folder).check?.("r")).toMatchObject({ seq: found, file: path });
    }
  });

  it("a segment that is missing", async () => {
    const folder = newFolder();
    const { path } = await write(folder);
    const log = fileLog(folder);
    await log.claim("r", { takeover: true });
    await log.append("r", { epoch: 2, events: events("r", 14, 15) });
    replaceFile(path, "");
    expect((await refusal(() => readAll(fileLog(folder)))).message).toContain(path);
    expect(await fileLog(folder).check?.("r")).toMatchObject({ seq: 1 });
    expect(await fileLog(folder).list()).toMatchObject([{ runId: "r", problem: expect.any(String) }]);
  });
});
