import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { isHot, isTerminal } from "rubato/machines";
import { Causes } from "../../../runtime/inspect/page/model/causes.ts";
import { chromeTrace } from "../../../runtime/inspect/page/model/chrome-trace.ts";
import { Lanes } from "../../../runtime/inspect/page/model/lanes.ts";
import { Recording } from "../../../runtime/inspect/page/model/recording.ts";
import { bundlePage } from "../../../runtime/inspect/page-bundle.ts";
import { JsonLines } from "../../../runtime/inspect/page/model/json-lines.ts";
import { sharedUpTo } from "../../../runtime/inspect/page/model/part.ts";
import { hashOf, placeOf } from "../../../runtime/inspect/page/model/place.ts";
import { matcherOf } from "../../../runtime/inspect/page/model/search.ts";
import { selfContained } from "../../../runtime/inspect/page/model/self-contained.ts";
import { decisionOf, whyHere } from "../../../runtime/inspect/page/model/why.ts";
import { golden, GOLDEN, lanesOf, recordingOf, textOf } from "./golden.ts";

describe("causes", () => {
  it.for(GOLDEN)("are earlier events; what is recorded as a cause is one; effects are their other side: %s", (name) => {
    const events = golden(name);
    const causes = new Causes().catchUp(events);
    for (const event of events) {
      const cause = causes.causeOf(event.seq);
      if (event.cause !== undefined) expect(cause).toBe(event.cause);
      if (isHot(event)) expect(cause, `a ${event.type} belongs to something`).toBeDefined();
      if (cause === undefined) continue;
      expect(cause).toBeLessThan(event.seq);
      if (!isHot(event)) expect(causes.effectsOf(cause).seqs).toContain(event.seq);
    }
    for (const { seq } of events)
      for (const effect of causes.effectsOf(seq).seqs) expect(causes.causeOf(effect)).toBe(seq);
  });

  it("lead from a redirected answer back to what the person said", () => {
    const events = golden("redirect");
    const causes = new Causes().catchUp(events);
    const said = events.find(({ type, seq }) => type === "user_input" && seq > 2)?.seq ?? 0;
    const again = events.find(({ type, seq }) => type === "thinking" && seq > said)?.seq ?? 0;
    expect(causes.chainOf(again)).toContain(said);
    const streamed = events.filter(({ type, seq }) => type === "token_stream" && seq < said).length;
    expect(causes.effectsOf(4).streamed).toBe(streamed);
  });

  it("that go round in a made-up file end", () => {
    const entry = { timestamp: 0, runId: "r", type: "custom", data: { name: "x", data: 1 } };
    const causes = new Causes().catchUp([
      { ...entry, seq: 1, cause: 2 },
      { ...entry, seq: 2, cause: 1 },
    ]);
    expect(causes.chainOf(2).length).toBeLessThan(3);
  });
});

describe("why did it stop here", () => {
  it.for(GOLDEN)("has an answer at every seq, and never an empty one: %s", (name) => {
    const recording = recordingOf(golden(name));
    for (let seq = 0; seq <= recording.endSeq; seq++) {
      const said = whyHere(recording, seq);
      expect(said).toMatch(/^[A-Z].{10,}[.)]$/s);
      expect(said).not.toMatch(/undefined|NaN/);
    }
  });

  it("names who, why, where, and the guard that decided", () => {
    const events = golden("interrupt-resume");
    const recording = recordingOf(events);
    const stop = events.find(({ type }) => type === "interrupted")?.seq ?? 0;
    expect(whyHere(recording, stop)).toMatch(
      /^It stopped because user asked for it \(“units”\) at seq \d+, in thinking\.streaming\. .*quiet held.*characters of the answer were kept\.$/,
    );
    expect(whyHere(recording, stop - 1)).toMatch(/asked to stop by user.*does when everything in flight is quiet/);
    expect(whyHere(recording, recording.endSeq)).toMatch(/^It is done: .*answerEnded held/);
    const end = events.find(isTerminal);
    expect(end === undefined ? "" : decisionOf(recording, end)).toContain("interrupted.draining → interrupted.paused");
  });

  it.for([
    ["approvals", "approval_request", /^It waits for a person|It has not stopped/],
    ["failed", "failed", /^It failed \(/],
    ["cancelled", "cancelled", /^It was cancelled by .*final\.$/],
    ["limit", "interrupted", /^It rests at a limit: stopped at the limit/],
    ["retries", "retry", /^It waits to ask the model again, as attempt 3: .*[^.]\.$/],
  ] as const)("of %s at %s", ([name, type, sentence]) => {
    const events = golden(name);
    const at = events.findLast((event) => event.type === type)?.seq ?? 0;
    expect(whyHere(recordingOf(events), at)).toMatch(sentence);
  });
});

describe("lanes", () => {
  it.for(GOLDEN)("have a span per request, run call, approval, stop and wait, none on top of another: %s", (name) => {
    const events = golden(name);
    const { lanes, times, turns } = lanesOf(recordingOf(events));
    const spans = (kind: string): number => lanes.flatMap((lane) => (lane.kind === kind ? lane.spans : [])).length;
    const count = (type: string): number => events.filter((event) => event.type === type).length;
    expect(spans("model")).toBe(count("thinking"));
    expect(spans("tool")).toBe(count("tool_start"));
    expect(spans("approval")).toBe(count("approval_request"));
    expect(spans("retry")).toBe(count("retry"));
    expect(spans("interrupt")).toBeLessThanOrEqual(count("interrupt"));
    expect(times).toHaveLength(events.length);
    expect(times.every((time, index) => time >= (times[index - 1] ?? 0))).toBe(true);
    expect(turns.length).toBeGreaterThan(0);
    for (const { spans: row } of lanes) {
      for (const [index, { from, to }] of row.entries()) {
        expect(to ?? events.length).toBeGreaterThanOrEqual(from);
        expect(from).toBeGreaterThanOrEqual(row[index - 1]?.to ?? 0);
      }
    }
  });

  it("give calls that run at once a lane each, from their start to their result", () => {
    const events = golden("parallel-tools");
    const { lanes } = lanesOf(recordingOf(events));
    const tools = lanes.filter(({ kind }) => kind === "tool");
    expect(tools.map(({ label }) => label)).toEqual(["weather", "weather 2", "weather 3", "average"]);
    for (const { spans } of tools) {
      for (const { from, to, tone } of spans) {
        expect([events[from]?.type, events[to ?? -1]?.type, tone]).toEqual(["tool_start", "tool_result", "good"]);
      }
    }
  });

  it("show an interrupt from the request to when it was effective", () => {
    const events = golden("interrupt-resume");
    const [lane] = lanesOf(recordingOf(events)).lanes.filter(({ kind }) => kind === "interrupt");
    const [span] = lane?.spans ?? [];
    expect([events[span?.from ?? -1]?.type, events[span?.to ?? -1]?.type]).toEqual(["interrupt", "interrupted"]);
  });
});

// The trace event format as its document has it: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
const stamp = { pid: z.number().int(), tid: z.number().int(), name: z.string().min(1), cat: z.string() };
const ts = z.number().nonnegative();
const traceSchema = z.strictObject({
  displayTimeUnit: z.enum(["ms", "ns"]),
  otherData: z.record(z.string(), z.string()),
  traceEvents: z.array(
    z.discriminatedUnion("ph", [
      z.strictObject({ ph: z.literal("X"), ...stamp, ts, dur: z.number().nonnegative(), args: z.looseObject({}) }),
      z.strictObject({ ph: z.literal("i"), ...stamp, ts, s: z.enum(["g", "p", "t"]), args: z.looseObject({}) }),
      z.strictObject({
        ph: z.literal("M"),
        ...stamp,
        name: z.enum(["process_name", "thread_name"]),
        ts,
        args: z.strictObject({ name: z.string() }),
      }),
    ]),
  ),
});

describe("the Chrome trace", () => {
  it.for(GOLDEN)("keeps to the format, with a thread per lane and an instant per control event: %s", (name) => {
    const events = golden(name);
    const recording = recordingOf(events);
    const lanes = lanesOf(recording);
    const trace: unknown = JSON.parse([...chromeTrace(recording, lanes)].join(""));
    const { traceEvents } = traceSchema.parse(trace);
    const named = traceEvents.filter(({ ph, name }) => ph === "M" && name === "thread_name").length;
    expect(named).toBe(lanes.lanes.length + 1);
    expect(traceEvents.filter(({ ph }) => ph === "i")).toHaveLength(events.filter((event) => !isHot(event)).length);
    const spans = lanes.lanes.flatMap(({ spans: row }) => row);
    expect(traceEvents.filter(({ ph }) => ph === "X")).toHaveLength(spans.length);
  });
});

describe("the Chrome trace of a long run", () => {
  it("has the lanes that there are when it begins, also where a run goes on meanwhile", () => {
    const recording = recordingOf(golden("approvals"));
    const whole = [...chromeTrace(recording, lanesOf(recording))].join("");
    const lanes = lanesOf(recording);
    const pieces = chromeTrace(recording, lanes);
    let written = "";
    // Its beginning, two names, and that of each lane.
    for (let piece = 0; piece < 3 + lanes.lanes.length; piece++) written += pieces.next().value ?? "";
    const at = { seq: 1, timestamp: 0, runId: "r", type: "tool_start" };
    lanes.add({ ...at, data: { callId: "9.9", attempt: 1, name: "new" } });
    expect(written + [...pieces].join("")).toBe(whole);
  });

  it("comes in pieces, one of an event, however many spans a lane has", () => {
    const lanes = new Lanes();
    // More than a call takes arguments.
    for (let seq = 1; seq <= 130_000; seq++) lanes.add({ seq, timestamp: 0, runId: "r", type: "thinking", data: {} });
    let pieces = 0;
    let longest = 0;
    for (const piece of chromeTrace(new Recording(), lanes)) {
      pieces++;
      longest = Math.max(longest, piece.length);
    }
    expect(pieces).toBeGreaterThan(130_000);
    expect(longest).toBeLessThan(1_000);
  });
});

describe("search", () => {
  it("finds by type and by any text in the data, whatever its case, also deep inside", () => {
    const events = golden("parallel-tools");
    const found = (text: string, ...types: string[]): string[] =>
      events.filter(matcherOf({ text, types: new Set(types) })).map(({ type }) => type);
    expect(found("OSLO", "tool_result")).toEqual(["tool_result"]);
    expect(found("tool_star").every((type) => type === "tool_start")).toBe(true);
    expect(found("", "done")).toEqual(["done"]);
    expect(found("no such text")).toEqual([]);
    let deep: unknown = "needle";
    for (let level = 0; level < 5_000; level++) deep = { deep };
    const entry = { seq: 1, timestamp: 0, runId: "r", type: "custom", data: { deep } };
    expect(matcherOf({ text: "needle", types: new Set() })(entry)).toBe(false);
  });
});

describe("lines of JSON", () => {
  it.for([1, 2, 7, 64, 100_000])("come the same in pieces of %i characters", (size) => {
    const text = `\n${textOf(GOLDEN[0] ?? "")}`;
    const lines = new JsonLines();
    const values: unknown[] = [];
    for (let at = 0; at < text.length; at += size) values.push(...lines.push(text.slice(at, at + size)).values);
    expect(values).toEqual(golden(GOLDEN[0] ?? ""));
    expect(lines.end()).toBe("empty");
  });

  it("tells a line that was cut from one that is broken", () => {
    const cut = new JsonLines();
    expect(cut.push('{"a":1}\n{"b":')).toEqual({ values: [{ a: 1 }], broken: undefined });
    expect(cut.end()).toBe("cut");
    expect(new JsonLines().push('{"a":1}\n\nnot json\n{"c":3}\n')).toEqual({ values: [{ a: 1 }], broken: 3 });
    const whole = new JsonLines();
    expect(whole.push('{"a":1}').values).toEqual([]);
    expect(whole.end()).toEqual({ value: { a: 1 } });
  });
});

describe("the place in the address", () => {
  it("carries run and moment there and back, and gives no token away", () => {
    expect(placeOf("#run=r%201&seq=12&token=secret")).toEqual({ run: "r 1", seq: 12, token: "secret" });
    expect(hashOf({ run: "r 1", seq: 12, token: "secret" })).toBe("#run=r+1&seq=12");
    expect(placeOf(hashOf({ run: "r&seq=9", seq: 0 }))).toEqual({ run: "r&seq=9", seq: 0 });
    expect(placeOf("#seq=-1&run=")).toEqual({});
    expect(placeOf("#seq=1e9")).toEqual({});
  });
});

describe("two branches", () => {
  it("part where a fork went on in its own way", () => {
    const events = golden("parallel-tools");
    const fork = events.slice(0, 20).map((event) => ({ ...event, runId: "fork", timestamp: event.timestamp + 5 }));
    const own = { ...events[20], runId: "fork", type: "custom", data: { name: "own", data: 1 } };
    expect(sharedUpTo(recordingOf(events), recordingOf([...fork, own]))).toBe(20);
    expect(sharedUpTo(recordingOf(events), recordingOf(events))).toBe(events.length);
    expect(sharedUpTo(recordingOf(events), recordingOf([]))).toBe(0);
    const traceparent = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;
    const traced = events.map((event) => ({
      ...event,
      data: event.type === "user_input" ? { ...event.data, traceparent } : event.data,
    }));
    expect(sharedUpTo(recordingOf(traced), recordingOf([...fork, own]))).toBe(20);
  });
});

describe("the self-contained file", () => {
  const hash = (text: string): string => createHash("sha256").update(text).digest("base64");
  const pageOf = (script: string, style = "b{}", lines: Iterable<string> = []): Generator<string, void, undefined> =>
    selfContained({ script, style, scriptHash: hash(script), styleHash: hash(style), lines, title: "<b>&" });

  it("holds the log as data that cannot end its element, and a policy that names its script", () => {
    const hostile = JSON.stringify({ text: "</script><script>alert(1)</script><!--<script>" });
    const html = [...pageOf("go()", "b{}", [hostile])].join("");
    expect(html.match(/<script/g)).toHaveLength(2);
    expect(html).not.toContain("alert(1)</script>");
    expect(html).toContain(`script-src 'sha256-${hash("go()")}'`);
    expect(html).toContain("<title>&lt;b>&amp;</title>");
    const [, log = ""] = /class="log">\n(.*)\n<\/script>/.exec(html) ?? [];
    expect(JSON.parse(log)).toEqual(JSON.parse(hostile));
  });

  it.for([
    ['"</script>"', ""],
    // Behind these two the next end of a script ends nothing.
    ['"<!-- <script>"', ""],
    ["", "</style>"],
  ] as const)("refuses a page that would end its elements, or not end them: %s %s", ([script, style]) => {
    expect(() => [...pageOf(script, style)]).toThrow("one file");
  });

  it("takes the page as it is", async () => {
    const bundle = await bundlePage();
    const pieces = pageOf(bundle.get("inspect/page.js") ?? "", bundle.get("inspect/page.css"));
    expect([...pieces].join("")).toContain("page-script");
  });

  it("comes in pieces, and its log in elements, no longer than a line or two, however long it is", () => {
    const line = JSON.stringify({ text: `${"sea ".repeat(1_500_000)}<` });
    let [pieces, longest, element, longestElement] = [0, 0, 0, 0];
    for (const piece of pageOf(
      "go()",
      "b{}",
      Array.from({ length: 12 }, () => line),
    )) {
      pieces++;
      longest = Math.max(longest, piece.length);
      element = piece.includes("<script") ? 0 : element + piece.length;
      longestElement = Math.max(longestElement, element);
    }
    expect(pieces).toBeGreaterThan(12);
    expect(longest).toBeLessThan(2 ** 23);
    expect(longestElement).toBeLessThan(2 ** 24);
  });
});
