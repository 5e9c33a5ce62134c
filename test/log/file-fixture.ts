import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach } from "vitest";
import { RubatoError, type Event, type EventLog } from "rubato";

const folders: string[] = [];

/** A folder that is gone after the test. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "rubato-file-"));
  folders.push(folder);
  return folder;
}

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

export async function readAll(log: EventLog, runId = "r"): Promise<readonly Event[]> {
  return log.read(runId, { after: 0, limit: 1_000_000 });
}

/** What a call is refused with. */
export async function refusal(act: () => unknown): Promise<RubatoError> {
  try {
    await act();
  } catch (error) {
    if (error instanceof RubatoError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

export function segmentPath(folder: string, epoch = 1, run = "r"): string {
  return join(folder, run, `${String(epoch).padStart(6, "0")}.jsonl`);
}

/** The lines of a segment with their line ends, the header first. */
export function linesOf(path: string): string[] {
  return readFileSync(path, "utf8").split(/(?<=\n)/);
}

/** Puts other bytes in the place of a file, as a copy would: the same name, another file. */
export function replaceFile(path: string, bytes: Uint8Array | string): void {
  rmSync(path);
  writeFileSync(path, bytes, { mode: 0o600 });
}

export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();
}
