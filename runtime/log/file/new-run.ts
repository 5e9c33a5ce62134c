import { closeSync, mkdirSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { Chain } from "./chain.ts";
import { codeOf, FILE_MODE, FOLDER_MODE, storageError } from "./folder.ts";
import { thisProcess } from "./owner.ts";
import type { FileEnd } from "./owners.ts";
import { headerLine, namesIn, NOTHING_BEFORE, segmentName } from "./segment.ts";
import { writeAll, type Disk } from "./writer.ts";

/** Folders that nobody sees as runs yet, or any more, begin with this. */
const NEW_PREFIX = ".new-";

/** And those that a run had when it was deleted with this. */
export const GONE_PREFIX = ".gone-";
const LEFT_MS = 3_600_000;

/** Removes what processes that ended in the middle left behind. Only what is an hour old: a younger one may be at work. */
export function sweepFolder(root: string, now: number): void {
  for (const name of namesIn(root)) {
    if (!name.startsWith(NEW_PREFIX) && !name.startsWith(GONE_PREFIX)) continue;
    const path = join(root, name);
    const { mtimeMs } = statSync(path, { throwIfNoEntry: false }) ?? { mtimeMs: now };
    if (now - mtimeMs > LEFT_MS) rmSync(path, { recursive: true, force: true });
  }
}

/** A folder for a new run that nobody sees yet, with a segment that has its header. */
export interface NewRun {
  readonly folder: string;
  readonly fd: number;
  readonly end: FileEnd;
  /** Makes it the run's folder. False when the run exists. */
  publish(folder: string): boolean;
  /** Removes it. */
  discard(): void;
}

export interface NewRunOptions {
  readonly root: string;
  readonly runId: string;
  readonly epoch: number;
  readonly disk: Disk;
  /** ms */
  readonly now: number;
}

/**
 * A run appears with its first batch in it, by renaming its folder into place: of several that create it one succeeds, also where they name
 * different epochs, and one that dies in between leaves no half of a run.
 */
export function newRun({ root, runId, epoch, disk, now }: NewRunOptions): NewRun {
  const folder = join(root, NEW_PREFIX + randomUUID());
  const discard = (): void => {
    rmSync(folder, { recursive: true, force: true });
  };
  let fd: number | undefined;
  try {
    mkdirSync(folder, { mode: FOLDER_MODE });
    fd = openSync(join(folder, segmentName(epoch)), "wx", FILE_MODE);
    const header = { run: runId, epoch, after: 0, owner: thisProcess(), at: now, before: NOTHING_BEFORE };
    const { line, crc, h } = headerLine(header);
    const bytes = Buffer.from(line);
    writeAll(disk, fd, bytes, bytes.length, 0);
    return { folder, fd, end: { seq: 0, crc, offset: bytes.length, chain: new Chain(h) }, publish, discard };
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    discard();
    throw storageError(root, error);
  }

  function publish(target: string): boolean {
    try {
      renameSync(folder, target);
      return true;
    } catch (error) {
      // A folder that holds something is there: the rename replaces an empty one only.
      if (codeOf(error) === "ENOTEMPTY" || codeOf(error) === "EEXIST") return false;
      throw error;
    }
  }
}
