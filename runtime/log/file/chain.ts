import { createHash, hash, type Hash } from "node:crypto";

/**
 * The hash chain of a segment. Control records that stand one behind the other in a batch are a run; the last of a run holds the hash of all that
 * stands before it, deltas and the rest of the run included, so one hash kept elsewhere vouches for the whole log. A batch is stored as a whole,
 * so one hash says as much as one in each of its records, and costs less than writing them.
 *
 * Deltas between two runs are a stretch. Consecutive lines of one message or call in a stretch are a group; each group has one digest, which goes
 * on from that of the group before. Ranges that are pruned consist of whole groups, and the record in their place carries the last one's digest:
 * so the chain holds without the bytes.
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

  /** Lines of deltas, line ends included; `what` names their message or call. More of them may follow. */
  hot(what: string, bytes: Uint8Array): void {
    if (this.group === undefined || this.what !== what) {
      this.endGroup();
      this.group = createHash("sha256");
      this.what = what;
    }
    this.group.update(bytes);
  }

  /** The same, and the group ends with them. In one call where it also began with them: that costs half, and leaves nothing to collect. */
  wholeGroup(what: string, bytes: Uint8Array): void {
    if (this.group !== undefined && this.what === what) this.group.update(bytes);
    else {
      this.endGroup();
      this.link(hash("sha256", bytes));
    }
    this.endGroup();
  }

  /** A line of a control record whose run goes on, line end included. */
  control(bytes: Uint8Array): void {
    this.endGroup();
    this.run ??= createHash("sha256");
    this.run.update(bytes);
  }

  /** The rest of a run, up to its hash. Answers what belongs there. */
  endRun(bytes: Uint8Array): string {
    this.endGroup();
    const run = this.run === undefined ? hash("sha256", bytes) : this.run.update(bytes).digest("hex");
    this.run = undefined;
    this.h = hashOf(this.h + this.digest + run);
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
    this.link(this.group.digest("hex"));
    this.group = undefined;
  }

  private link(group: string): void {
    this.digest = this.digest === "" ? group.slice(0, 32) : hashOf(this.digest + group);
    this.ended = this.digest;
  }
}

/** SHA-256 cut to 128 bits, 32 hex digits. */
export function hashOf(text: string): string {
  return hash("sha256", text).slice(0, 32);
}
