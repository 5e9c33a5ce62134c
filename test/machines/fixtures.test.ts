import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { verify } from "rubato";
import { decodeSnapshot, encodeSnapshot, encodeState, EVENT_TYPES, eventSchema, type Event } from "rubato/machines";
import { SCENES } from "../fixtures/scenes.ts";
import { fold } from "../support/invariants.ts";
import { logReading } from "../support/written-log.ts";

const ROOT = join(import.meta.dirname, "../fixtures");
const FILES = readdirSync(ROOT, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".jsonl"));

function lines(file: string): unknown[] {
  const text = readFileSync(join(ROOT, file), "utf8").trimEnd();
  return text.split("\n").map((line): unknown => JSON.parse(line));
}

function eventsOf(file: string): Event[] {
  return lines(file).map((line) => eventSchema.parse(line));
}

// Logs of every released schema, as the versions that wrote them left them. A failure here is a log somewhere that cannot be read any more:
// the code changes, or an upcaster comes; a fixture never changes. New ones: `npm run fixtures`.
describe("P9 logs of every released schema", () => {
  it.for(FILES)("%s: every event is one of the vocabulary, whole", (file) => {
    for (const line of lines(file)) expect(eventSchema.parse(line)).toEqual(line);
  });

  it.for(FILES)("%s: folds to the state that was kept beside it", (file) => {
    const kept: unknown = JSON.parse(readFileSync(join(ROOT, file.replace(/\.jsonl$/, ".state.json")), "utf8"));
    const state: unknown = JSON.parse(encodeState(fold(eventsOf(file))));
    // A later version may know more of a state, and must know all of this.
    expect(state).toMatchObject(Object(kept));
  });

  it.for(FILES)("%s: verify finds nothing, and a snapshot holds it", async (file) => {
    const events = eventsOf(file);
    expect(await verify(logReading(events), "r")).toMatchObject({ ok: true, seq: events.at(-1)?.seq });
    const state = fold(events);
    const copy = decodeSnapshot(encodeSnapshot(state));
    expect(copy === undefined ? "" : encodeState(copy)).toBe(encodeState(state));
  });

  it("there is one of each scene, and together they have every type that a run of today can record", () => {
    const names = FILES.map((file) => file.replace(/^.*?([^/\\]+)\.jsonl$/, "$1"));
    expect(names.sort()).toEqual(Object.keys(SCENES).sort());
    const types = new Set(FILES.flatMap((file) => eventsOf(file).map(({ type }) => type)));
    const missing = EVENT_TYPES.filter((type) => !types.has(type));
    expect(missing).toEqual([]);
  });
});
