import { describe, expect, it } from "vitest";
import { encodeState, type Event } from "rubato/machines";
import { headOf } from "../../../runtime/cli/head-of.ts";
import { BOUNDS, weightOf } from "../../../runtime/inspect/page/model/bounds.ts";
import { Causes } from "../../../runtime/inspect/page/model/causes.ts";
import { JsonLines } from "../../../runtime/inspect/page/model/json-lines.ts";
import { firstLanes, Lanes } from "../../../runtime/inspect/page/model/lanes.ts";
import { Recording } from "../../../runtime/inspect/page/model/recording.ts";
import { sharedUpTo } from "../../../runtime/inspect/page/model/part.ts";
import { Side } from "../../../runtime/inspect/page/view/side.ts";
import { golden, GOLDEN, lanesOf, recordingOf } from "./golden.ts";
import { longRun } from "./long-run.ts";

const ANY_WEIGHT = Number.MAX_SAFE_INTEGER;

describe("V4 a recording that is full", () => {
  it.for(GOLDEN)("of lines forgets the first of them, and shows what is kept as it did: %s", (name) => {
    const events = golden(name);
    const whole = recordingOf(events);
    const lines = Math.ceil(events.length / 2);
    const recording = new Recording({ lines, weight: ANY_WEIGHT });
    for (const event of events) {
      recording.add(event);
      if (recording.isFull) expect(recording.drop()).toBeGreaterThan(0);
      expect(recording.length).toBeLessThan(lines);
      // The state of the run as it is now.
      expect(encodeState(recording.latest)).toBe(encodeState(whole.stateAt(recording.endSeq)));
    }
    expect(recording.problem).toBeUndefined();
    expect(recording.dropped + recording.length).toBe(events.length);
    // What is shown of a moment is how long after the beginning it was.
    expect([recording.startedAt, recording.startsLate]).toEqual([events[0]?.timestamp, false]);
    expect(recording.entries).toEqual(events.slice(recording.dropped));
    for (const { seq } of [...recording.entries, ...recording.entries.toReversed()]) {
      expect(encodeState(recording.stateAt(seq)), `seq ${seq}`).toBe(encodeState(whole.stateAt(seq)));
    }
    // Before what is kept: the state that it goes on from.
    const before = encodeState(whole.stateAt((recording.entries[0]?.seq ?? 0) - 1));
    expect(encodeState(recording.stateAt(0))).toBe(before);
  });

  it("goes on behind many kept states", () => {
    const events = longRun(4_000);
    const whole = recordingOf(events);
    const recording = new Recording({ lines: 1_500, weight: ANY_WEIGHT });
    for (const event of events) {
      recording.addEvent(event);
      if (recording.isFull) recording.drop();
    }
    expect(recording.problem).toBeUndefined();
    for (let seq = recording.firstSeq; seq <= recording.endSeq; seq += 41) {
      expect(encodeState(recording.stateAt(seq)), `seq ${seq}`).toBe(encodeState(whole.stateAt(seq)));
    }
  });

  it("of memory forgets as much as that takes, and never the last line", () => {
    const text = "x".repeat(100_000);
    const recording = new Recording({ lines: 1_000_000, weight: 1_000_000 });
    const events = golden("plain");
    const thinking = events.findIndex(({ type }) => type === "thinking") + 1;
    const [start] = events;
    for (const event of events.slice(0, thinking)) recording.add(event);
    for (let seq = thinking + 1; seq < 100; seq++) {
      recording.add({ ...start, seq, type: "custom", data: { name: "big", data: text.slice(seq) } });
      if (recording.isFull) recording.drop();
      expect(recording.weight).toBeLessThan(1_000_000);
    }
    expect(recording.length).toBeGreaterThan(5);
    recording.add({ ...start, seq: 100, type: "custom", data: { name: "big", data: "y".repeat(2_000_000) } });
    recording.drop();
    expect([recording.length, recording.firstSeq, recording.problem]).toEqual([1, 100, undefined]);
  });

  it("says the numbers of lines as they stand in the log", () => {
    const recording = new Recording({ lines: 8, weight: ANY_WEIGHT });
    for (const event of golden("plain").slice(0, 8)) recording.add(event);
    recording.drop();
    recording.add({ seq: "x" });
    expect(recording.problem).toContain("Line 9 cannot be read");
  });
});

describe("the weight of a line", () => {
  const weigh = (data: Record<string, unknown>, type = "custom"): number =>
    weightOf({ seq: 1, timestamp: 0, runId: "r", type, data });

  it("counts what takes memory: text by its bytes, arrays and objects far more than their text", () => {
    expect(weigh({ text: "x".repeat(1_000_000) }) / 1_000_000).toBeCloseTo(1, 2);
    expect(weigh({ text: `${"x".repeat(1_000_000)}“` }) / 2_000_000).toBeCloseTo(1, 2);
    const text = JSON.stringify(Array.from({ length: 100_000 }, () => [1]));
    expect(weigh({ data: JSON.parse(text) })).toBeGreaterThan(8 * text.length);
    expect(weigh({ text: "x".repeat(1_000) }, "token_stream")).toBeGreaterThan(1_000);
    let deep: unknown = 1;
    for (let level = 0; level < 100_000; level++) deep = [deep];
    expect(weigh({ deep })).toBeGreaterThan(1_000_000);
  });

  it("lets a log of 200 MB in, of small events and of large ones", () => {
    const events = longRun(10_000);
    const bytes = events.reduce((sum, event) => sum + JSON.stringify(event).length + 1, 0);
    const weight = events.reduce((sum, event) => sum + weightOf(event), 0);
    expect((weight / bytes) * 200_000_000).toBeLessThan(BOUNDS.weight);
    expect((events.length / bytes) * 200_000_000).toBeLessThan(BOUNDS.lines);
    expect(200 * weigh({ text: `${"x".repeat(1_048_576)}“` })).toBeLessThan(BOUNDS.weight);
  });
});

describe("what is drawn of a run whose first lines are gone", () => {
  it.for(GOLDEN)("is what was drawn of those that are kept: %s", (name) => {
    const events = golden(name);
    const whole = lanesOf(recordingOf(events));
    for (const count of [1, Math.floor(events.length / 3), events.length - 1]) {
      const lanes = lanesOf(recordingOf(events));
      lanes.drop(count);
      expect(lanes.length).toBe(events.length - count);
      const drawn = (of: Lanes, from: number): unknown =>
        of.lanes.flatMap(({ kind, label, spans }) =>
          spans
            .filter(({ to }) => to === undefined || to >= from)
            .map((span) => ({
              kind,
              label,
              said: span.label,
              tone: span.tone,
              from: Math.max(0, span.from - from),
              to: span.to === undefined ? undefined : span.to - from,
            })),
        );
      expect(drawn(lanes, 0)).toEqual(drawn(whole, count));
      for (let index = 0; index < lanes.length; index++) {
        for (const marks of ["turns", "steps"] as const) {
          const mark = Lanes.markAt(lanes[marks], index);
          expect(mark?.number).toBe(Lanes.markAt(whole[marks], index + count)?.number);
        }
        expect(lanes.times[index]).toBe(whole.times[index + count]);
      }
      expect(lanes.interrupts).toEqual(whole.interrupts.flatMap((at) => (at < count ? [] : [at - count])));
      expect(lanes.ends).toEqual(whole.ends.flatMap((at) => (at < count ? [] : [at - count])));
    }
  });

  it("grows on as it would have: turns, steps and calls keep their names", () => {
    const events = golden("interrupt-resume");
    const whole = new Side();
    const side = new Side({ lines: 12, weight: ANY_WEIGHT });
    for (const event of events) {
      whole.add(event);
      side.add(event);
      if (side.recording.isFull) side.drop();
    }
    expect(side.recording.dropped).toBeGreaterThan(0);
    expect(side.lanes.turns.at(-1)?.number).toBe(whole.lanes.turns.at(-1)?.number);
    expect(side.lanes.length).toBe(side.recording.length);
    for (const { seq } of side.recording.entries) {
      const cause = side.causes.causeOf(seq);
      expect(cause).toBe(whole.causes.causeOf(seq));
      if (cause === undefined || cause < side.recording.firstSeq) continue;
      expect(side.causes.effectsOf(cause)).toEqual(whole.causes.effectsOf(cause));
    }
  });

  it("has causes no longer than its lines", () => {
    const events = golden("parallel-tools");
    const causes = new Causes().catchUp(events);
    causes.drop(events.length - 1, events.length);
    for (const { seq } of events.slice(0, -1)) {
      expect([causes.causeOf(seq), causes.effectsOf(seq)]).toEqual([undefined, { seqs: [], streamed: 0 }]);
    }
  });

  it("parts from another branch where it did", () => {
    const events = golden("parallel-tools");
    const own = { ...events[30], type: "custom", data: { name: "own", data: 1 } };
    const fork = recordingOf([...events.slice(0, 30), own]);
    const main = new Recording({ lines: 20, weight: ANY_WEIGHT });
    for (const event of events.slice(0, 31)) {
      main.add(event);
      if (main.isFull) main.drop();
    }
    expect(main.dropped).toBeGreaterThan(0);
    expect(sharedUpTo(main, fork)).toBe(30);
  });
});

describe("lanes of hostile names", () => {
  const starts = (names: readonly string[], ends = false): Event[] =>
    names.flatMap((name, index): Event[] => {
      const callId = `1.${index}`;
      const at = { timestamp: 0, runId: "r" };
      const start: Event = {
        ...at,
        seq: 2 * index + 1,
        type: "tool_start",
        data: { callId, attempt: 1, name, idempotencyKey: callId },
      };
      const result: Event = {
        ...at,
        seq: 2 * index + 2,
        type: "tool_result",
        data: { callId, attempt: 1, outcome: "ok", from: "running" },
      };
      return ends ? [start, result] : [start];
    });
  const lanesFrom = (events: readonly Event[]): Lanes => {
    const lanes = new Lanes();
    for (const event of events) lanes.add(event);
    return lanes;
  };

  it("that are prefixes of one another are lanes of their own", () => {
    const names = ["a b 1", "a b", "a", "a ", "a 2", "a"];
    expect(lanesFrom(starts(names)).lanes.map(({ label }) => label)).toEqual(["a b 1", "a b", "a", "a 2", "a ", "a 2"]);
    // One after the other they need one lane each, and the second call of "a" finds its own.
    const after = lanesFrom(starts(names, true)).lanes;
    expect(after.map(({ label, spans }) => [label, spans.length])).toEqual([
      ["a b 1", 1],
      ["a b", 1],
      ["a", 2],
      ["a ", 1],
      ["a 2", 1],
    ]);
  });

  it("give the first lane that is free to the next call", () => {
    const all = starts(["x", "x", "x", "x", "x"], true);
    const start = (call: number): Event | undefined => all[2 * call];
    const end = (call: number): Event | undefined => all[2 * call + 1];
    const order = [start(0), start(1), start(2), end(2), end(0), start(3), start(4)];
    const lanes = lanesFrom(order.flatMap((event) => (event === undefined ? [] : [event])));
    expect(lanes.lanes.map(({ spans }) => spans.map(({ label }) => label))).toEqual([
      ["1.0", "1.3"],
      ["1.1"],
      ["1.2", "1.4"],
    ]);
  });

  // Quadratic, each of the two took long.
  it("are as many as come: many thousand names, and as many calls of one that run at once", () => {
    const names = Array.from({ length: 20_000 }, (_none, index) => `tool ${index}`);
    const lanes = lanesFrom(starts(names));
    expect(lanes.lanes.length).toBe(20_000);
    expect(lanesFrom(starts(names.map(() => "one"))).lanes.length).toBe(20_000);
    const { shown, hidden } = firstLanes(lanes.lanes, 24);
    expect([shown.length, hidden]).toEqual([24, 19_976]);
  });

  it("are cut where they are long, and are still lanes of their own", () => {
    const long = "n".repeat(1_000_000);
    const { lanes } = lanesFrom(starts([`${long}1`, `${long}2`]));
    expect(lanes.map(({ label }) => label.length < 100)).toEqual([true, true]);
  });
});

describe("the head of a value", () => {
  it("has the same beginning as the whole, and is not much longer than asked", () => {
    const values: unknown[] = [
      1,
      null,
      "text",
      { a: [1, 2, { b: "c" }], d: "e" },
      JSON.parse('{"__proto__":{"x":1}}'),
      Array.from({ length: 3_000 }, (_none, index) => ({ index, text: "x".repeat(index % 50) })),
      { text: "y".repeat(10_000), more: "z".repeat(10_000) },
      Object.fromEntries(Array.from({ length: 3_000 }, (_none, index) => [`key ${index}`, index])),
    ];
    for (const value of values) {
      const whole = JSON.stringify(value, undefined, 2);
      for (const units of [10, 500, 1_000_000]) {
        const head = JSON.stringify(headOf(value, units), undefined, 2);
        expect(head.slice(0, units)).toBe(whole.slice(0, units));
        if (units > 500_000) expect(head).toBe(whole);
        else expect(head.length).toBeLessThan(30 * units + 100);
      }
    }
  });
});

describe("a line that does not end", () => {
  it("is measured while it comes, and named by its number", () => {
    const lines = new JsonLines();
    lines.push('{"a":1}\n{"b":');
    lines.push("x".repeat(100));
    expect([lines.openLine, lines.openLength]).toEqual([2, 105]);
    lines.push("\n");
    expect([lines.openLine, lines.openLength]).toEqual([3, 0]);
  });
});
