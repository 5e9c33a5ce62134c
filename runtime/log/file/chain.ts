import { createHash, hash, type Hash } from "node:crypto";

/**
 * The hash chain of a segment. Control records that stand one behind the other in a batch are a run; the last of a run holds the hash of all that
 * stands before it, deltas and the rest of the run included, so one hash kept elsewhere vouches for the whole log. A batch is stored as a whole,
 * so one hash says as much as one in each of its records, and costs less than writing them.
 *
 * Deltas between two runs are a stretch. Consecutive lines of one message or call in a stretch are a group; each group has one
 * digest, which goes on from that of the group before. Ranges that are pruned consist of whole groups, and the record in their place carries the
 * last one's digest: so the chain holds without the bytes.
 */
export class Chain {
  /** Of the last run, 32 hex digits. */
  h: string;
  /** Of the last group that ended, in whatever stretch. */
  ended = "";
  /** Of the groups that ended in this stretch. */
  private digest = "";
  private group: Hash | undefined;
  private what = "";
  private run: Hash | undefined;

  constructor(h: string) {
    this.h = h;
  }

  /** Lines of deltas, line ends included; `what` names their message or call. */
  hot(what: string, bytes: Uint8Array): void {
    if (this.group === undefined || this.what !== what) {
      this.endGroup();
      this.group = createHash("sha256").update(this.digest);
      this.what = what;
    }
    this.group.update(bytes);
  }

  /** Lines of control records of one run, line ends included; of the last one what stands before its hash. */
  control(bytes: Uint8Array): void {
    if (this.run === undefined) {
      this.endGroup();
      this.run = createHash("sha256").update(this.h + this.digest);
    }
    this.run.update(bytes);
  }

  /** The run ends. Answers the hash that belongs into its last record. */
  endRun(): string {
    if (this.run === undefined) throw new TypeError("unreachable: a run has a record");
    this.h = cut(this.run.digest("hex"));
    this.run = undefined;
    this.digest = "";
    return this.h;
  }

  /** A run has begun and has no hash yet. */
  get inRun(): boolean {
    return this.run !== undefined;
  }

  gap(digest: string): void {
    this.endGroup();
    this.digest = digest;
  }

  /** Of everything so far: what the next segment holds of this one. */
  end(): string {
    this.endGroup();
    return this.digest === "" ? this.h : hashOf(this.h + this.digest);
  }

  private endGroup(): void {
    if (this.group === undefined) return;
    this.digest = cut(this.group.digest("hex"));
    this.ended = this.digest;
    this.group = undefined;
  }
}

/** SHA-256 cut to 128 bits, 32 hex digits. */
export function hashOf(text: string): string {
  return cut(hash("sha256", text));
}

function cut(digest: string): string {
  return digest.slice(0, 32);
}
