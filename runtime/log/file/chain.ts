import { createHash, hash, type Hash } from "node:crypto";

/**
 * The hash chain of a segment. Every control record holds the hash of all that stands before it, deltas included, so one hash kept elsewhere
 * vouches for the whole log.
 *
 * Deltas between two control records are a stretch. Consecutive lines of one message or call in a stretch are a group; each group has one
 * digest, which goes on from that of the group before. Ranges that are pruned consist of whole groups, and the record in their place carries the
 * last one's digest: so the chain holds without the bytes.
 */
export class Chain {
  /** Of the last control record, 32 hex digits. */
  h: string;
  /** Of the last group that ended, in whatever stretch. */
  ended = "";
  /** Of the groups that ended in this stretch. */
  private digest = "";
  private group: Hash | undefined;
  private what = "";

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

  /** A control record: its line up to its hash. Answers the hash that belongs there. */
  control(body: string): string {
    this.endGroup();
    this.h = hashOf(this.h + this.digest + body);
    this.digest = "";
    return this.h;
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
    this.digest = this.group.digest("hex").slice(0, 32);
    this.ended = this.digest;
    this.group = undefined;
  }
}

/** SHA-256 cut to 128 bits, 32 hex digits. */
export function hashOf(text: string): string {
  return hash("sha256", text).slice(0, 32);
}
