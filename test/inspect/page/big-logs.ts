import { closeSync, openSync, writeSync } from "node:fs";
import type { Event } from "rubato/machines";
import { longRun } from "./long-run.ts";
import { golden } from "./golden.ts";

/** What a large log is made of: many small events, or few of a mebibyte each, of plain text or of a structure that takes many times its text. */
export type BigKind = "small" | "text" | "structure";

const MIB = 1_048_576;

/** A log of about this many bytes, event by event. */
export function* bigLog(kind: BigKind, bytes: number): Generator<Event, void, undefined> {
  if (kind === "small") {
    // As long as the lines of such a run are, on average.
    yield* longRun(Math.round(bytes / 164));
    return;
  }
  const [start, said, ...rest] = golden("plain");
  if (start === undefined || said === undefined) throw new Error("The golden run has a beginning.");
  const thinking = rest.find(({ type }) => type === "thinking");
  yield start;
  yield said;
  for (const event of rest) {
    yield event;
    if (event === thinking) break;
  }
  let seq = thinking?.seq ?? 0;
  const value = kind === "text" ? "The sea is wide, and “blue”. ".repeat(MIB / 29) : nested(MIB);
  for (let written = 0; written < bytes; written += MIB) {
    seq++;
    yield {
      seq,
      timestamp: start.timestamp + seq,
      runId: start.runId,
      type: "custom",
      data: { name: `n${seq}`, data: value },
    };
  }
}

/** As much memory per character as JSON can take. */
function nested(chars: number): number[][] {
  return Array.from({ length: chars / 4 }, () => [1]);
}

/** Writes such a log to a file. Answers its events. */
export function writeBigLog(file: string, kind: BigKind, bytes: number): number {
  const target = openSync(file, "w");
  let open: string[] = [];
  let length = 0;
  let count = 0;
  for (const event of bigLog(kind, bytes)) {
    count++;
    const line = `${JSON.stringify(event)}\n`;
    open.push(line);
    length += line.length;
    if (length < MIB) continue;
    writeSync(target, open.join(""));
    open = [];
    length = 0;
  }
  writeSync(target, open.join(""));
  closeSync(target);
  return count;
}
