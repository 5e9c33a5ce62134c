import { join } from "node:path";
import { isHot, type Event } from "../../../machines/events.ts";
import { RubatoError } from "../../errors.ts";
import { isRunId, type AppendBatch } from "../event-log.ts";
import { checkContiguous, checkFollows, checkNewRun, notOwner, runExists } from "../refusals.ts";
import { Scratch, type SegmentEnd } from "./encoder.ts";
import { folderOf, storageError } from "./folder.ts";
import { newRun } from "./new-run.ts";
import { abandon } from "./owner.ts";
import type { FileEnd, Owners } from "./owners.ts";
import { contentsOf, syncFolder } from "./segment.ts";
import { Writer, type Disk } from "./writer.ts";

/** Files that are open at once for writing; an older one is opened again when it is needed. */
const OPEN_FILES = 128;

export interface WritersOptions {
  readonly root: string;
  readonly disk: Disk;
  readonly owners: Owners;
  readonly power: boolean;
  readonly now: () => number;
  /** A batch of the run is durable, or its owner changed. */
  readonly onChange: (runId: string) => void;
}

/** The runs that this log owns. */
export interface Writers {
  readonly append: (runId: string, batch: AppendBatch) => undefined | Promise<undefined>;
  /** Goes on with a segment that was claimed. */
  readonly adopt: (runId: string, folder: string, epoch: number) => void;
  readonly get: (runId: string) => Writer | undefined;
  readonly release: (runId: string, epoch: number) => undefined | Promise<undefined>;
  /** Forgets a run without a word in its log. */
  readonly drop: (runId: string) => void;
  readonly runs: () => readonly Writer[];
}

export function writers({ root, disk, owners, power, now, onChange }: WritersOptions): Writers {
  const scratch = new Scratch();
  const owned = new Map<string, Writer>();
  /** Those with an open file, the latest used last. */
  const open = new Set<Writer>();
  let latest: Writer | undefined;

  function writerOf(runId: string, folder: string, epoch: number, end: FileEnd, fd?: number): Writer {
    const rebuild = (bytes: number): SegmentEnd => owners.endOf(runId, folder, epoch, bytes);
    return new Writer({ runId, root, folder, epoch, end, scratch, disk, rebuild }, fd);
  }

  /** Keeps the number of open files bounded. */
  function use(writer: Writer): void {
    if (writer === latest && writer.isOpen) return;
    latest = writer;
    open.delete(writer);
    open.add(writer);
    if (open.size > OPEN_FILES)
      for (const oldest of open) if (oldest !== writer && oldest.close()) return void open.delete(oldest);
  }

  function forget(writer: Writer): void {
    open.delete(writer);
    writer.close();
    if (owned.get(writer.runId) === writer) owned.delete(writer.runId);
  }

  /** In process mode: stored when this returns. */
  function store(writer: Writer, events: readonly Event[]): void {
    use(writer);
    try {
      writer.write(events);
      writer.check();
      // Deltas alone may go into a file that is gone: the control event that follows them finds out.
      if (!events.every(isHot)) writer.checkThere();
    } catch (error) {
      if (error instanceof RubatoError && error.code === "not_owner") forget(writer);
      throw error;
    }
    writer.stored();
    onChange(writer.runId);
  }

  async function storePower(writer: Writer, events: readonly Event[]): Promise<undefined> {
    use(writer);
    writer.write(events);
    try {
      await writer.sync();
      writer.checkThere();
    } catch (error) {
      if (error instanceof RubatoError && error.code === "not_owner") forget(writer);
      throw error;
    }
    onChange(writer.runId);
    return undefined;
  }

  function refuse(runId: string, { epoch, events }: AppendBatch, first: Event): void {
    if (isRunId(runId)) {
      const { segments, claim } = contentsOf(join(root, folderOf(runId)));
      const newest = Math.max(claim, segments.at(-1) ?? 0);
      if (newest > 0) throw first.seq === 1 ? runExists(runId) : notOwner(runId, newest, epoch);
    }
    checkNewRun(runId, first);
    checkContiguous(runId, events);
  }

  function create(runId: string, { epoch, events }: AppendBatch): undefined | Promise<undefined> {
    const folder = join(root, folderOf(runId));
    const made = newRun({ root, runId, epoch, disk, now: now() });
    const writer = writerOf(runId, folder, epoch, made.end, made.fd);
    const undo = (error: unknown): RubatoError => {
      writer.close();
      made.discard();
      return storageError(root, error);
    };
    const publish = (): undefined => {
      if (!made.publish(folder)) throw runExists(runId);
      owned.set(runId, writer);
      use(writer);
      onChange(runId);
    };
    const finish = async (): Promise<undefined> => {
      try {
        await writer.sync();
        syncFolder(made.folder);
        publish();
        syncFolder(root);
      } catch (error) {
        throw undo(error);
      }
    };
    try {
      writer.write(events);
      if (power) return finish();
      publish();
      writer.stored();
      return undefined;
    } catch (error) {
      throw undo(error);
    }
  }

  return {
    append(runId, batch) {
      const { epoch, events } = batch;
      const [first] = events;
      if (first === undefined) return undefined;
      const writer = owned.get(runId);
      if (writer === undefined) {
        refuse(runId, batch, first);
        return create(runId, batch);
      }
      if (first.seq === 1) throw runExists(runId);
      if (epoch !== writer.epoch) throw notOwner(runId, writer.epoch, epoch);
      checkFollows(runId, writer.seq, events);
      if (power) return storePower(writer, events);
      store(writer, events);
      return undefined;
    },
    adopt(runId, folder, epoch) {
      const before = owned.get(runId);
      if (before !== undefined) forget(before);
      owned.set(runId, writerOf(runId, folder, epoch, owners.endOf(runId, folder, epoch)));
    },
    get: (runId) => owned.get(runId),
    release(runId, epoch) {
      const writer = owned.get(runId);
      if (writer?.epoch !== epoch) return undefined;
      try {
        writer.check();
        writer.release(now());
      } catch (error) {
        // Somebody else has it by now, and there is nothing to let go; or the disk failed, which the appends have told.
        forget(writer);
        if (!(error instanceof RubatoError) || error.code !== "not_owner") abandon(join(root, folderOf(runId)), epoch);
        return undefined;
      }
      const finish = async (): Promise<undefined> => {
        if (power) await writer.sync();
        forget(writer);
        onChange(runId);
      };
      return finish();
    },
    drop(runId) {
      const writer = owned.get(runId);
      if (writer !== undefined) forget(writer);
    },
    runs: () => [...owned.values()],
  };
}
