import * as fc from "fast-check";
import { expect, it } from "vitest";
import { decodeSnapshot, encodeSnapshot, encodeState, initialState, stateHash, step } from "rubato/machines";
import type { AgentState, Event, Json } from "rubato/machines";
import { fold } from "../support/invariants.ts";
import { choices, randomLog } from "../support/random-walk.ts";
import { recordedLogs } from "../support/recorded-logs.ts";

/** As a store would keep it: text, read again. */
function throughText(snapshot: Json): Json {
  const copy: Json = JSON.parse(JSON.stringify(snapshot));
  return copy;
}

function decoded(state: AgentState): AgentState {
  const copy = decodeSnapshot(throughText(encodeSnapshot(state)));
  if (copy === undefined) throw new Error("the snapshot is not accepted");
  return copy;
}

/** S1: the copy is the state, and what follows makes the same bytes and hashes of both. */
function checkPrefixes(events: readonly Event[], foldOn: (prefix: number) => boolean): void {
  const whole = fold(events);
  let state = initialState();
  for (let prefix = 0; prefix <= events.length; prefix++) {
    const event = events[prefix - 1];
    if (event !== undefined) state = step(state, event).state;
    let copy = decoded(state);
    expect(encodeState(copy), `seq ${prefix}`).toBe(encodeState(state));
    expect(stateHash(copy), `seq ${prefix}`).toBe(stateHash(state));
    if (!foldOn(prefix)) continue;
    for (const next of events.slice(prefix)) {
      copy = step(copy, next).state;
      expect(copy.seq).toBe(next.seq);
    }
    expect(encodeState(copy), `folded on from seq ${prefix}`).toBe(encodeState(whole));
    expect(stateHash(copy), `folded on from seq ${prefix}`).toBe(stateHash(whole));
  }
}

it("S1 P6 is exact at every prefix of random logs", () => {
  fc.assert(
    fc.property(choices, (walk) => {
      checkPrefixes(randomLog(walk), (prefix) => prefix % 20 === 0);
    }),
    { numRuns: 20, seed: 2 },
  );
});

it("S1 P6 is exact at every prefix of recorded runs", async () => {
  const logs = await recordedLogs();
  for (const events of logs.filter((_, index) => index % 3 === 1)) checkPrefixes(events, (prefix) => prefix % 25 === 0);
});

it("keys and texts are data", () => {
  const start: Event = {
    seq: 1,
    timestamp: 0,
    runId: "__proto__",
    type: "run_start",
    data: {
      schema: 1,
      reducer: 1,
      chartHash: "",
      agent: { name: "constructor", instructions: "", tools: [] },
      model: "m",
      limits: { maxSteps: 1 },
      metadata: JSON.parse('{"__proto__":{"x":1},"toString":"\\ud800"}'),
    },
  };
  const state = fold([start]);
  expect(encodeState(decoded(state))).toBe(encodeState(state));
});

it("S2 ignores what is damaged, foreign or no snapshot at all", async () => {
  const [events = []] = await recordedLogs();
  const snapshot = encodeSnapshot(fold(events));
  if (typeof snapshot !== "object" || snapshot === null || !("text" in snapshot)) throw new Error("unreachable");
  const { text } = snapshot;
  if (typeof text !== "string") throw new Error("unreachable");
  expect(decodeSnapshot(snapshot)).toBeDefined();
  for (const other of [null, 1, "", {}, [], { ...snapshot, hash: "0" }, { ...snapshot, key: "other charts" }]) {
    expect(decodeSnapshot(other)).toBeUndefined();
  }
  for (let at = 0; at < text.length; at += 97) {
    const flipped = text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ 1) + text.slice(at + 1);
    expect(decodeSnapshot({ ...snapshot, text: flipped }), `unit ${at}`).toBeUndefined();
  }
  expect(decodeSnapshot({ ...snapshot, text: text.slice(0, -1) })).toBeUndefined();
});
