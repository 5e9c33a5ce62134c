import { describe, expect, it } from "vitest";
import { replay } from "rubato";
import { encodeState, initialState, type Event } from "rubato/machines";
import { logReading } from "../../support/written-log.ts";
import { statusAt } from "../../../runtime/inspect/page/model/why.ts";
import { golden, GOLDEN, recordingOf } from "./golden.ts";

/** What `replay` says of each seq of a log; where a range was pruned, the state before it. */
async function replayed(name: string): Promise<string[]> {
  const states = [encodeState(initialState())];
  for await (const { event, state } of replay(logReading(golden(name)), golden(name)[0]?.runId ?? "")) {
    while (states.length < event.seq) states.push(states.at(-1) ?? "");
    states.push(encodeState(state));
  }
  return states;
}

describe("a recording in the page", () => {
  it.for(GOLDEN)(
    "V1 shows at every seq what replay gives there, forwards, backwards and in any order: %s",
    async (name) => {
      const states = await replayed(name);
      const recording = recordingOf(golden(name));
      expect(recording.problem).toBeUndefined();
      expect(recording.endSeq).toBe(states.length - 1);
      const forwards = states.map((_state, seq) => seq);
      const jumps = forwards.map((seq) => (seq * 7919) % states.length);
      for (const seq of [...forwards, ...forwards.toReversed(), ...jumps]) {
        expect(encodeState(recording.stateAt(seq)), `seq ${seq}`).toBe(states[seq]);
      }
    },
  );

  it("V1 also behind many kept states, in a long run", async () => {
    const events = longRun(3_000);
    const recording = recordingOf(events);
    expect(recording.problem).toBeUndefined();
    let seq = 0;
    for await (const { event, state } of replay(logReading(events), "r")) {
      seq = event.seq;
      if (seq % 97 === 0 || seq > events.length - 3)
        expect(encodeState(recording.stateAt(seq))).toBe(encodeState(state));
    }
    expect(seq).toBe(recording.endSeq);
    expect(encodeState(recording.stateAt(256))).toBe(encodeState(recordingOf(events.slice(0, 256)).latest));
  });

  it("V3 keeps the lines of a newer schema, without states, and says so", () => {
    const [start, ...rest] = golden("plain");
    const newer = { ...start, data: { ...start?.data, schema: 99 } };
    const recording = recordingOf([
      newer,
      ...rest,
      { ...rest[0], seq: rest.length + 2, type: "hologram", data: { of: "x" } },
    ]);
    expect([0, 1].map((seq) => statusAt(recording, seq))).toEqual(["idle", "unknown"]);
    expect(recording.problem).toContain("newer rubato (schema 99");
    expect(recording.length).toBe(rest.length + 2);
    expect(recording.foldedTo).toBe(0);
    expect(recording.entryAt(rest.length + 2)?.type).toBe("hologram");
  });

  it("V3 shows an unknown event type and a divergence as lines, with the states before them", () => {
    const events = golden("plain");
    const unknown = recordingOf([...events.slice(0, 5), { ...events[5], type: "hologram" }, ...events.slice(6)]);
    expect(unknown.problem).toMatch(/From seq 6 on .*unknown type "hologram"/);
    expect([unknown.length, unknown.foldedTo]).toEqual([events.length, 5]);
    const twice = recordingOf([...events.slice(0, 3), { ...events[1], seq: 4 }]);
    expect(twice.problem).toMatch(/diverges at seq 4: "user_input"/);
    expect([twice.length, twice.foldedTo]).toEqual([4, 3]);
  });

  it("V3 says which events are missing, and takes no line twice, of another run, or that is none", () => {
    const events = golden("plain");
    const holed = recordingOf([...events.slice(0, 3), ...events.slice(6)]);
    expect(holed.problem).toContain("Events 4 to 6 are missing");
    expect(holed.foldedTo).toBe(3);
    expect(recordingOf([...events, ...events]).length).toBe(events.length);
    const mixed = recordingOf([...events, { ...events[0], runId: "other", seq: events.length + 1 }]);
    expect([mixed.length, mixed.problem]).toEqual([events.length, expect.stringContaining("another run")]);
    for (const bad of [
      null,
      1,
      "x",
      [],
      {},
      { seq: 1 },
      { seq: -1, timestamp: 0, runId: "r", type: "done", data: {} },
    ]) {
      expect([recordingOf([bad]).length, recordingOf([bad]).problem]).toEqual([
        0,
        expect.stringContaining("cannot be read"),
      ]);
    }
  });

  it("finds the line at or before any seq, also across what was pruned", () => {
    const events = golden("forked-pruned");
    const recording = recordingOf(events);
    for (let seq = 0; seq <= recording.endSeq + 1; seq++) {
      expect(recording.indexOf(seq)).toBe(events.findLastIndex((event) => event.seq <= seq));
    }
  });
});

/** One answer of many tokens. */
function longRun(tokens: number): Event[] {
  const events: Event[] = golden("plain").slice(0, 4);
  for (let index = 0; index < tokens; index++) {
    events.push({
      seq: 5 + index,
      timestamp: 1_700_000_000_000 + index,
      runId: "r",
      type: "token_stream",
      data: { kind: "text", text: "word ", messageId: "m1", attempt: 1, offset: index * 5 },
    });
  }
  return events;
}
