import { closeSync, renameSync, rmSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { join, resolve } from "node:path";
import type { Event } from "../../machines/events.ts";
import { checkKeys, checkOption, isDelay } from "../checks.ts";
import { isRunId, type Claim, type EventLog } from "./event-log.ts";
import { checkRun } from "./file/check.ts";
import { folderOf, openFolder, storageError } from "./file/folder.ts";
import { fileInbox } from "./file/inbox.ts";
import { runLister } from "./file/list.ts";
import { owners as openOwners } from "./file/owners.ts";
import { GONE_PREFIX, sweepFolder } from "./file/new-run.ts";
import { pages } from "./file/pages.ts";
import { pruneSegment, rangesOf } from "./file/prune.ts";
import { segmentReader } from "./file/reader.ts";
import { contentsOf } from "./file/segment.ts";
import { folderWatch, type FolderWatch } from "./file/watch.ts";
import { systemDisk, type Disk } from "./file/writer.ts";
import { writers as openWriters } from "./file/writers.ts";
import { inUse } from "./refusals.ts";
import { Watchers } from "./watchers.ts";

export interface FileLogOptions {
  /**
   * What an append waits for. `process` (default): the system has it, so it survives the end of this process in any way, also `kill -9`.
   * `power`: the disk has it (fdatasync), so it survives a power failure too; some 50 times slower for an append alone.
   */
  readonly durability?: "process" | "power";
  /** How often to look for what the system does not tell, ms from 10. Default 1,000. */
  readonly pollMs?: number;
}

/** What a test replaces. */
export interface FileLogParts {
  readonly disk?: Disk;
  readonly now?: () => number;
}

const KEYS = ["durability", "pollMs"] as const;

/**
 * A log in files: one folder per run, readable lines (file/encoder.ts), one segment per owner (file/owners.ts). The folder is made if it is
 * not there, for this user alone (0700, files 0600). Throws {@link RubatoError} `log` for a folder that cannot hold a log: read-only, a file,
 * or on a network file system.
 */
export function fileLog(folder: string, options: FileLogOptions = {}): EventLog {
  checkKeys("fileLog", options, KEYS);
  return openFileLog(folder, options);
}

/** The same with parts that a test replaces. */
export function openFileLog(
  folder: string,
  { durability = "process", pollMs = 1_000 }: FileLogOptions = {},
  { disk = systemDisk, now = Date.now }: FileLogParts = {},
): EventLog {
  checkOption("folder", folder, typeof folder === "string" && folder !== "", "the path of a folder");
  checkOption("durability", durability, durability === "process" || durability === "power", '"process" or "power"');
  checkOption("pollMs", pollMs, isDelay(pollMs, 10), "milliseconds from 10 to 2147483647");
  const root = resolve(folder);
  openFolder(root);
  sweepFolder(root, now());
  const power = durability === "power";
  const reader = segmentReader();
  let latest = 0;
  /** When something was made. Strictly increasing in this process, so that what was made first is listed first. */
  const made = (): number => (latest = Math.max(latest + 0.001, now()));
  const owners = openOwners(reader, made);
  const local = new Watchers();
  const onChange = (runId: string): void => {
    local.wake(runId);
  };
  const writers = openWriters({ root, disk, owners, power, now: made, onChange });
  const { read, head } = pages({ root, reader, owners, power, ownEnd: writers.get });
  const list = runLister({ root, reader, owners, read, ownEnd: writers.get });
  const watches = new Map<string, FolderWatch>();

  function claim(runId: string, takeover: boolean): Claim {
    const path = join(root, folderOf(runId));
    for (;;) {
      const { seq, epoch, owned } = head(runId);
      if (epoch === 0) return { claimed: false, reason: "unknown_run" };
      if (owned && !takeover) return { claimed: false, reason: "owned" };
      if (owners.claim(runId, path, epoch)) {
        owners.settle(runId, path);
        writers.adopt(runId, path, epoch + 1);
        local.wake(runId);
        return { claimed: true, epoch: epoch + 1, seq: writers.get(runId)?.seq ?? seq };
      }
      // Somebody was faster. If that process lives it has the run; one that died in the middle left it free again.
      if (head(runId).owned) return { claimed: false, reason: "owned" };
    }
  }

  /** Whether this epoch is the newest, and ours. */
  function isNewest(runId: string, epoch: number): boolean {
    return writers.get(runId)?.epoch === epoch && !owners.isStale(join(root, folderOf(runId)), epoch);
  }

  async function prune(runId: string): Promise<number> {
    const pageOf = (after: number, limit: number): readonly Event[] => read(runId, { after, limit });
    if (head(runId).owned) throw inUse(runId);
    if (rangesOf(pageOf).length === 0) return 0;
    // Like any owner: nobody else begins to write in the middle of it.
    const claimed = claim(runId, false);
    if (!claimed.claimed) throw inUse(runId);
    try {
      const drop = rangesOf(pageOf);
      const path = join(root, folderOf(runId));
      const epochs = owners.settle(runId, path);
      for (const [at, epoch] of epochs.entries()) {
        const next = epochs[at + 1];
        if (next === undefined) continue;
        const later = reader.open(runId, path, next);
        closeSync(later.fd);
        const { segment, fd } = reader.open(runId, path, epoch);
        try {
          pruneSegment(reader, runId, path, { segment, fd, until: later.segment.header.after }, drop);
        } finally {
          closeSync(fd);
        }
      }
      return drop.reduce((count, { from, to }) => count + to - from + 1, 0);
    } finally {
      await writers.release(runId, claimed.epoch);
    }
  }

  return {
    durability,
    append: writers.append,
    afterTurn(callback) {
      setImmediate(callback);
    },
    read(runId, range) {
      return inFolder(() => read(runId, range));
    },
    head: (runId) => inFolder(() => head(runId)),
    claim: (runId, { takeover = false } = {}) =>
      isRunId(runId) ? inFolder(() => claim(runId, takeover)) : { claimed: false, reason: "unknown_run" },
    release: (runId, epoch) => inFolder(() => writers.release(runId, epoch)),
    watch(runId, onChange) {
      const undo = local.watch(runId, onChange);
      if (!isRunId(runId)) return undo;
      const known = watches.get(runId);
      const watch = known ?? folderWatch(join(root, folderOf(runId)), pollMs, () => watches.delete(runId));
      watches.set(runId, watch);
      const unwatch = watch.add(onChange);
      return () => {
        undo();
        unwatch();
      };
    },
    list: (filter) => inFolder(() => list(filter?.status)),
    delete: (runId) =>
      inFolder(() => {
        if (!isRunId(runId)) return false;
        writers.drop(runId);
        const path = join(root, folderOf(runId));
        if (contentsOf(path).segments.length === 0) return false;
        // Out of sight first: a run is there completely or not at all.
        const gone = join(root, GONE_PREFIX + randomUUID());
        renameSync(path, gone);
        rmSync(gone, { recursive: true, force: true });
        local.wake(runId);
        return true;
      }),
    prune: (runId) => inFolder(() => prune(runId)),
    check: (runId) =>
      inFolder(() =>
        isRunId(runId)
          ? checkRun({ runId, folder: join(root, folderOf(runId)), reader, owners, own: writers.get(runId) })
          : undefined,
      ),
    async close() {
      for (const { runId, epoch } of writers.runs()) await writers.release(runId, epoch);
    },
    inbox: fileInbox(root, { isNewest, pollMs, now }),
  };

  /** Whatever the system says becomes one sentence. */
  function inFolder<T>(act: () => T): T {
    try {
      return act();
    } catch (error) {
      throw storageError(root, error);
    }
  }
}
