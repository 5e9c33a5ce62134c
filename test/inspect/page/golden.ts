import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parseEvent, type Event } from "rubato/machines";
import { Lanes } from "../../../runtime/inspect/page/model/lanes.ts";
import { Recording } from "../../../runtime/inspect/page/model/recording.ts";

const FIXTURES = join(import.meta.dirname, "../../fixtures");
const SAMPLE = join(import.meta.dirname, "../../../runtime/inspect/page/sample.jsonl");

/** Every log that some version has left behind, and the sample of the page, by name. */
const FILES: ReadonlyMap<string, string> = new Map([
  ...readdirSync(FIXTURES, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".jsonl"))
    .map((file): [string, string] => [basename(file, ".jsonl"), join(FIXTURES, file)]),
  ["sample", SAMPLE],
]);
export const GOLDEN: readonly string[] = [...FILES.keys()];

export function textOf(name: string): string {
  const file = FILES.get(name);
  if (file === undefined) throw new Error(`There is no golden log "${name}".`);
  return readFileSync(file, "utf8");
}

/** A golden log by its name. */
export function golden(name: string): readonly Event[] {
  return textOf(name)
    .trimEnd()
    .split("\n")
    .map((line) => parseEvent(JSON.parse(line)));
}

export function recordingOf(values: readonly unknown[]): Recording {
  const recording = new Recording();
  for (const value of values) recording.add(value);
  return recording;
}

export function lanesOf({ entries }: Recording): Lanes {
  const lanes = new Lanes();
  for (const entry of entries) lanes.add(entry);
  return lanes;
}
