import { mkdirSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fileLog, type Event, type Json } from "rubato";
import { folderOf, networkName, runOf } from "../../runtime/log/file/folder.ts";
import { thisProcess } from "../../runtime/log/file/owner.ts";
import { openFileLog } from "../../runtime/log/file.ts";
import { events, RUN_IDS, TEXTS } from "../contracts/log-fixture.ts";
import { filesBelow, linesOf, newFolder, readAll, refusal, segmentPath } from "./file-fixture.ts";
import { tokens } from "./file-tokens.ts";

describe("the format of a log in files", () => {
  it("is this one: whoever changes it changes its number", async () => {
    const folder = newFolder();
    const log = openFileLog(folder, {}, { now: () => 1_700_000_000_000 });
    await log.append("Run-1", { epoch: 1, events: named([...events("r", 1, 1), ...tokens(2, ["The", " quick"])]) });
    await log.append("Run-1", { epoch: 1, events: named(tokens(4, [' "fox"\n'], 9)) });
    await log.append("Run-1", { epoch: 1, events: named([...tokens(5, [" jumps"], 16), ...events("r", 6, 8)]) });
    await log.release("Run-1", 1);
    const [header = "", ...lines] = linesOf(segmentPath(folder, 1, "run-1~1"));
    // The owner differs from machine to machine, and so do all sums behind it.
    expect(JSON.parse(header)).toEqual({
      rubato: 1,
      schema: 1,
      run: "Run-1",
      epoch: 1,
      after: 0,
      owner: { pid: process.pid, started: expect.any(String), host: expect.any(String), boot: expect.any(String) },
      at: 1_700_000_000_000,
      before: { h: "0".repeat(32), c: "00000000" },
      c: expect.stringMatching(/^[0-9a-f]{8}$/),
    });
    const plain = lines.map((line) =>
      line.replace(/"h":"[0-9a-f]{32}"/, '"h":"-"').replace(/"[0-9a-f]{8}"([\]}]\n)$/, '"-"$1'),
    );
    expect(plain.join("")).toBe(
      [
        '{"seq":1,"timestamp":1001,"type":"run_start","data":{"schema":1,"reducer":1,"chartHash":"c","agent":{"name":"a","instructions":"h","tools":[{"name":"t","hash":"h"}]},"model":"m","limits":{"maxSteps":10}},"b":1,"h":"-","c":"-"}',
        '{"seq":2,"timestamp":2002,"type":"token_stream","data":{"kind":"text","text":"The","messageId":"m1","attempt":1,"offset":0},"b":1,"c":"-"}',
        '[1," quick","-"]',
        '[1," \\"fox\\"\\n","-"]',
        '[1," jumps",1,"-"]',
        '{"seq":6,"timestamp":1006,"type":"user_input","data":{"id":"i6","text":"hello","when":"step"},"cause":1,"b":1,"c":"-"}',
        '{"seq":7,"timestamp":1007,"type":"user_input","data":{"id":"i7","text":"hello","when":"step"},"cause":1,"b":1,"c":"-"}',
        '{"seq":8,"timestamp":1008,"type":"user_input","data":{"id":"i8","text":"hello","when":"step"},"cause":1,"h":"-","c":"-"}',
        '{"released":1700000000000.001,"c":"-"}',
        "",
      ].join("\n"),
    );
  });

  it("a token that is a commit of its own takes at most 40 bytes", async () => {
    const folder = newFolder();
    const log = fileLog(folder);
    await log.append("r", { epoch: 1, events: events("r", 1, 1) });
    const before = statSync(segmentPath(folder)).size;
    const texts = Array.from(
      { length: 2_000 },
      (_, at) => [" the", " interruptible", ",", ' "quoted"', "é"][at % 5] ?? "",
    );
    for (const token of tokens(2, texts)) await log.append("r", { epoch: 1, events: [token] });
    expect((statSync(segmentPath(folder)).size - before) / texts.length).toBeLessThanOrEqual(40);
  });

  it("whatever is appended, in whatever batches, comes back field by field", async () => {
    const text = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom(...TEXTS, "\uD800", "a\uDC00"), fc.string());
    const value = fc.jsonValue({ maxDepth: 3 }).map((json): Json => JSON.parse(JSON.stringify(json)));
    const time = fc.oneof(
      fc.integer({ min: 0, max: 100 }),
      fc.double({ noNaN: true, min: 0, max: 1e12 }).map(Math.abs),
    );
    const small = fc.integer({ min: 1, max: 2 });
    const id = fc.constantFrom("m1", "m2", "__proto__", "\u2028");
    const kind = fc.constantFrom("text" as const, "reasoning" as const);
    const fragment = { messageId: id, attempt: small, index: small, callId: id, args: text };
    const delta = fc.oneof(
      fc.record({
        type: fc.constant("token_stream" as const),
        data: fc.record({ kind, text, messageId: id, attempt: small, offset: small }),
      }),
      fc.record({ type: fc.constant("tool_call_delta" as const), data: fc.record(fragment) }),
      fc.record({ type: fc.constant("tool_call_delta" as const), data: fc.record({ ...fragment, name: text }) }),
      fc.record({
        type: fc.constant("tool_progress" as const),
        data: fc.record({ callId: id, attempt: small, value }),
      }),
      fc.record({ type: fc.constant("custom" as const), data: fc.record({ name: text, data: value }) }),
    );
    const drafts = fc.array(
      fc.record({ delta, time, cause: fc.option(small, { nil: undefined }), size: small, follows: fc.boolean() }),
      {
        maxLength: 40,
      },
    );
    const folder = newFolder();
    const log = fileLog(folder);
    let run = 0;
    await fc.assert(
      fc.asyncProperty(drafts, async (list) => {
        const runId = `r${run++}`;
        const given: Event[] = events(runId, 1, 1);
        let offset = 0;
        for (const { delta, time, cause, follows } of list) {
          const made = eventOf({
            seq: given.length + 1,
            timestamp: time,
            runId,
            ...delta,
            ...(cause === undefined ? {} : { cause }),
          });
          const event = made.type === "token_stream" && follows ? { ...made, data: { ...made.data, offset } } : made;
          if (event.type === "token_stream") offset = event.data.offset + event.data.text.length;
          given.push(event);
        }
        let at = 0;
        for (const { size } of [{ size: 1 }, ...list]) {
          await log.append(runId, { epoch: 1, events: given.slice(at, at + size) });
          at += size;
        }
        const stored = given.slice(0, at);
        expect(await readAll(log, runId)).toEqual(stored);
        expect(JSON.stringify(await readAll(log, runId))).toBe(JSON.stringify(stored));
        expect(await log.check?.(runId)).toBe(undefined);
      }),
      { numRuns: 150 },
    );
  });
});

describe("the folder of a log", () => {
  it("is the user's alone", async () => {
    const folder = join(newFolder(), "deep", "log");
    const log = fileLog(folder);
    await log.append("r", { epoch: 1, events: events("r", 1, 1) });
    await log.claim("r", { takeover: true });
    const id = await log.inbox.post("r", "command");
    await log.inbox.take("r", 2);
    await log.inbox.answer("r", id, "answer");
    await log.inbox.post("r", "another");
    for (const name of ["", ...filesBelow(folder)]) {
      const stat = statSync(join(folder, name));
      expect((stat.mode & 0o777).toString(8), name).toBe(stat.isDirectory() ? "700" : "600");
    }
    expect(filesBelow(folder).filter((name) => !name.startsWith(".inbox"))).toEqual([
      "r",
      "r/000001.jsonl",
      "r/000002.claim",
      "r/000002.jsonl",
    ]);
  });

  it("has a name for every run that no other run has, also where capitals do not count", () => {
    const ids = [...RUN_IDS, "aB", "Ab", "AB", "ab", "A".repeat(128), "a".repeat(128), "lpt1.x", "COM1", "com1"];
    const names = ids.map(folderOf);
    expect(new Set(names.map((name) => name.toLowerCase())).size).toBe(new Set(ids).size);
    for (const [at, name] of names.entries()) {
      expect(runOf(name)).toBe(ids[at]);
      expect(name).toMatch(/^[a-z0-9_-][a-z0-9._-]*(~[0-9a-f]+)?$/);
      expect(name.length).toBeLessThan(200);
    }
    for (const name of [".inbox", "..", ".new-x", "a~", "a~0", "a~zz", "A", "a~2", "x~1~1", "con"])
      expect(runOf(name), name).toBe(undefined);
  });

  it("that cannot hold a log is refused in one sentence", async () => {
    const file = join(newFolder(), "file");
    writeFileSync(file, "");
    for (const path of [file, join(file, "below")]) {
      const error = await refusal(() => fileLog(path));
      expect(error.code).toBe("log");
      expect(error.message).toBe(`The log folder "${path}" is a file or lies below one. Choose the path of a folder.`);
    }
    for (const options of [{ durability: "disk" }, { pollMs: 0 }, { fsync: true }]) {
      expect((await refusal(() => Reflect.apply(fileLog, undefined, [newFolder(), options]))).code).toBe(
        "invalid_option",
      );
    }
    expect((await refusal(() => fileLog(""))).code).toBe("invalid_option");
    expect(["NFS", "SMB", "CIFS"]).toEqual([0x6969, 0xfe534d42, 0xff534d42 | 0].map(networkName));
    expect(networkName(0xef53)).toBe(undefined);
  });

  it("may hold what is no run: it is not listed, not read and not touched", async () => {
    const folder = newFolder();
    mkdirSync(join(folder, "notes"));
    mkdirSync(join(folder, "Empty"));
    writeFileSync(join(folder, "readme.txt"), "mine");
    const log = fileLog(folder);
    await log.append("r", { epoch: 1, events: events("r", 1, 1) });
    expect((await log.list()).map(({ runId }) => runId)).toEqual(["r"]);
    expect(readFileSync(join(folder, "readme.txt"), "utf8")).toBe("mine");
    await log.append("notes", { epoch: 1, events: events("notes", 1, 1) });
    expect(await readAll(log, "notes")).toHaveLength(1);
  });

  it("what a process left half made is cleared away after an hour, and nothing else", async () => {
    const folder = newFolder();
    const log = fileLog(folder);
    await log.append("r", { epoch: 1, events: events("r", 1, 1) });
    const old = new Date(Date.now() - 7_200_000);
    for (const name of [".new-a", ".gone-b", ".new-c", "mine"]) {
      mkdirSync(join(folder, name));
      if (name !== ".new-c") utimesSync(join(folder, name), old, old);
    }
    utimesSync(join(folder, "r"), old, old);
    fileLog(folder);
    expect(readdirSync(folder).sort()).toEqual([".inbox", ".new-c", "mine", "r"]);
  });

  it("answers that nobody will fetch are cleared away, and so are posts of processes that ended long ago", async () => {
    const folder = newFolder();
    const log = fileLog(folder);
    await log.append("r", { epoch: 1, events: events("r", 1, 1) });
    const dead = JSON.stringify({ from: { ...thisProcess(), started: "1" }, command: "x" });
    const alive = JSON.stringify({ from: thisProcess(), command: "x" });
    const id = (at: number): string => `${String(at).padStart(17, "0")}-00000000-0000-4000-8000-000000000000`;
    const old = new Date(Date.now() - 7_200_000);
    for (const [at, name, text, time] of [
      [1, "r.answer", dead, undefined],
      [2, "r.answer", alive, undefined],
      [3, "r.taken", dead, undefined],
      [4, "s.post", dead, undefined],
      [5, "s.post", dead, old],
      [6, "s.post", alive, old],
    ] as const) {
      const path = join(folder, ".inbox", `${id(at)}.${name}`);
      writeFileSync(path, text);
      if (time !== undefined) utimesSync(path, time, time);
    }
    expect(await log.inbox.take("r", 1)).toEqual([]);
    expect(readdirSync(join(folder, ".inbox")).sort()).toEqual(
      [2, 4, 6].map((at) => `${id(at)}.${at === 2 ? "r.answer" : "s.post"}`),
    );
  });

  it.runIf(process.platform === "linux")("keeps few files open, however many runs it owns", async () => {
    const folder = newFolder();
    const log = fileLog(folder);
    const open = (): number => readdirSync("/proc/self/fd").length;
    const before = open();
    for (let at = 0; at < 160; at++) await log.append(`r${at}`, { epoch: 1, events: events(`r${at}`, 1, 1) });
    expect(open() - before).toBeLessThanOrEqual(130);
    for (let at = 0; at < 160; at++) await log.append(`r${at}`, { epoch: 1, events: events(`r${at}`, 2, 2) });
    expect(await log.list()).toHaveLength(160);
    await log.close?.();
    expect(open() - before).toBeLessThanOrEqual(2);
  });

  it("close lets go of every run", async () => {
    const folder = newFolder();
    const log = fileLog(folder);
    for (const runId of ["a", "b"]) await log.append(runId, { epoch: 1, events: events(runId, 1, 1) });
    await log.close?.();
    expect(await fileLog(folder).list()).toMatchObject([{ owned: false }, { owned: false }]);
  });
});

function named(list: readonly Event[]): Event[] {
  return list.map((event) => ({ ...event, runId: "Run-1" }));
}

/** The parts of an event fit each other; the compiler cannot see it. */
function eventOf(parts: Pick<Event, "seq" | "timestamp" | "runId" | "type" | "data">): Event {
  if (isEvent(parts)) return parts;
  throw new TypeError("unreachable");
}

function isEvent(parts: Pick<Event, "type">): parts is Event {
  return parts.type !== "done";
}
