import { closeSync, existsSync, fdatasync, fstatSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Event } from "../../../machines/events.ts";
import { RubatoError } from "../../errors.ts";
import { notOwner } from "../refusals.ts";
import { Encoder, type Scratch, type SegmentEnd } from "./encoder.ts";
import type { FileEnd } from "./owners.ts";
import { storageError } from "./folder.ts";
import { claimName, segmentName } from "./segment.ts";

/** The calls that fail when a disk does: a test makes them. */
export interface Disk {
  /** Writes some of the bytes, perhaps not all, and answers how many. */
  write(fd: number, bytes: Uint8Array, from: number, length: number, position: number): number;
  truncate(fd: number, length: number): void;
  sync(fd: number): Promise<void>;
}

export const systemDisk: Disk = {
  write: (fd, bytes, from, length, position) => writeSync(fd, bytes, from, length, position),
  truncate: (fd, length) => {
    ftruncateSync(fd, length);
  },
  sync: (fd) =>
    new Promise((resolve, reject) => {
      fdatasync(fd, (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    }),
};

/** A full disk writes less and says nothing; the next call may say it. */
export function writeAll(disk: Disk, fd: number, bytes: Uint8Array, length: number, position: number): void {
  for (let at = 0; at < length;) {
    const count = disk.write(fd, bytes, at, length - at, position + at);
    if (count === 0) throw Object.assign(new Error("nothing was written"), { code: "ENOSPC" });
    at += count;
  }
}

export interface WriterOptions {
  readonly runId: string;
  /** Of all runs; for sentences. */
  readonly root: string;
  /** Of this run. */
  readonly folder: string;
  readonly epoch: number;
  readonly end: FileEnd;
  readonly scratch: Scratch;
  readonly disk: Disk;
  /** Reads the first bytes of the segment anew, to go on from their end. */
  readonly rebuild: (bytes: number) => SegmentEnd;
}

/**
 * The owner's end of a segment: the only one that writes to it.
 *
 * W1 A batch is one write. What a failed write left is cut off again; where that fails too the writer is dead, and readers see a batch that has
 *    no end, which they do not read. W2 After the write (and the fsync) it looks for a newer claim, and only where there is none the batch counts
 *    as stored: whoever claims later reads this segment later, and finds it. W3 After a failed fsync the writer is dead: the next fsync may
 *    succeed and mean nothing.
 */
export class Writer {
  readonly runId: string;
  readonly epoch: number;
  /** Bytes of the segment that are stored for good, as far as the log promises. */
  durable: number;
  /** The last event in them. */
  durableSeq: number;
  private written: number;
  private readonly options: WriterOptions;
  /** The path of the mark that a newer owner makes. */
  private readonly claim: string;
  private encoder: Encoder;
  private fd: number | undefined;
  private dead: RubatoError | undefined;
  /** Calls that still need the file. */
  private busy = 0;

  constructor(options: WriterOptions, fd?: number) {
    this.options = options;
    this.runId = options.runId;
    this.epoch = options.epoch;
    this.claim = join(options.folder, claimName(options.epoch + 1));
    this.written = options.end.offset;
    this.durable = options.end.offset;
    this.durableSeq = options.end.seq;
    this.encoder = new Encoder(options.runId, options.end, options.scratch);
    this.fd = fd;
  }

  /** The seq of the last event that was written. */
  get seq(): number {
    return this.encoder.seq;
  }

  /** Stores a batch in the file; in process mode that is all. Throws, and then nothing of it is there. */
  write(events: readonly Event[]): void {
    this.put((encoder) => {
      encoder.batch(events);
    });
  }

  /** Says in the log that nobody owns it from here on. */
  release(timestamp: number): void {
    this.put((encoder) => {
      encoder.released(timestamp);
    });
  }

  /** Throws when somebody else owns the run by now, or when it is gone. */
  check(): void {
    if (existsSync(this.claim)) throw this.end(notOwner(this.runId, this.epoch + 1, this.epoch));
  }

  /** The same for a run that another process deleted. */
  checkThere(): void {
    if (fstatSync(this.open()).nlink > 0) return;
    throw this.end(new RubatoError("log", `Run "${this.runId}" was deleted while it was in use. Begin a new one.`));
  }

  /** Everything written so far is stored, in process mode. */
  stored(): void {
    this.durable = this.written;
    this.durableSeq = this.encoder.seq;
  }

  /** Everything written so far is stored, also where the power fails. Groups: what is written meanwhile waits for its own call. */
  async sync(): Promise<void> {
    const { written, seq } = this;
    const fd = this.open();
    this.busy++;
    try {
      await this.options.disk.sync(fd);
    } catch (error) {
      throw this.end(storageError(this.options.root, error));
    } finally {
      this.busy--;
    }
    if (this.dead !== undefined) throw this.dead;
    this.check();
    if (written <= this.durable) return;
    this.durable = written;
    this.durableSeq = seq;
  }

  get isOpen(): boolean {
    return this.fd !== undefined;
  }

  /** Lets go of the file; the next write opens it again. False while it is needed. */
  close(): boolean {
    if (this.busy > 0) return false;
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
    return true;
  }

  private put(encode: (encoder: Encoder) => void): void {
    if (this.dead !== undefined) throw this.dead;
    try {
      encode(this.encoder);
    } catch (error) {
      // The encoder is somewhere in the middle of the batch.
      this.repair();
      throw new RubatoError("log", `An event of run "${this.runId}" is no JSON.`, { cause: error });
    }
    const { scratch, disk } = this.options;
    const { length } = this.encoder;
    try {
      writeAll(disk, this.open(), scratch.bytes, length, this.written);
    } catch (error) {
      this.repair();
      throw storageError(this.options.root, error);
    }
    this.written += length;
    scratch.shrink();
  }

  /** Back to the end of the last good batch. */
  private repair(): void {
    try {
      this.options.disk.truncate(this.open(), this.written);
      this.encoder = new Encoder(this.runId, this.options.rebuild(this.written), this.options.scratch);
    } catch (error) {
      this.end(storageError(this.options.root, error));
    }
  }

  private end(error: RubatoError): RubatoError {
    this.dead ??= error;
    return this.dead;
  }

  private open(): number {
    this.fd ??= openSync(join(this.options.folder, segmentName(this.epoch)), "r+");
    return this.fd;
  }
}
