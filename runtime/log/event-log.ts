import type { Event, Json } from "../../machines/events.ts";
import type { Status } from "../../machines/state.ts";
import type { HeldTokens } from "./held-tokens.ts";
import type { SnapshotStore } from "./snapshot-store.ts";

/** Some logs answer at once, others later. */
export type Awaitable<T> = T | Promise<T>;

/** A batch for one run, all or nothing. */
export interface AppendBatch {
  /** Who writes: the epoch that {@link EventLog.claim} answered, or the one that the run was created with. From 1. */
  readonly epoch: number;
  /** Contiguous, in order, from the log's head + 1 on. A `gap` among them (a copy of a pruned run) stands for its whole range. */
  readonly events: readonly Event[];
}

export interface ReadRange {
  /** Exclusive: events with a greater seq. 0 reads from the start. */
  readonly after: number;
  /** At most this many, from 1. */
  readonly limit: number;
  /**
   * Asks for less than that where events are large: a log that reads them from somewhere else ends behind the one with which it has read this many
   * bytes, and answers one at least. Only for who reads on from the last event that it got. Default: all up to `limit`.
   */
  readonly bytes?: number;
}

/** What readers that go on page by page ask for ({@link ReadRange}): events of a mebibyte each come a few at a time, not hundreds at once. */
export const PAGE_BYTES = 4 * 1_048_576;

/** Where the log of a run stands. */
export interface LogHead {
  /** Of the last durable event; 0 for a run that does not exist. */
  readonly seq: number;
  /** Of the newest owner; 0 for a run that does not exist. */
  readonly epoch: number;
  /** That owner has not let go and its process lives, as far as this log can tell. */
  readonly owned: boolean;
}

/** What became of a claim. Of any number of claims for one epoch exactly one is answered with `claimed: true`. */
export type Claim =
  | {
      readonly claimed: true;
      /** To append with. Every older one is refused from now on. */
      readonly epoch: number;
      /** Of the last event: nothing of an older epoch comes after it. */
      readonly seq: number;
    }
  | { readonly claimed: false; readonly reason: "owned" | "unknown_run" };

export interface ClaimOptions {
  /** Also from an owner that lives. Default false. */
  readonly takeover?: boolean;
}

/** Where the log of a run is damaged. */
export interface LogProblem {
  /** Of the first event that cannot be trusted. */
  readonly seq: number;
  readonly problem: string;
  /** Where it is stored, for a log that knows. */
  readonly file?: string;
}

/** A run as a list shows it. */
export interface RunSummary {
  readonly runId: string;
  readonly agent: string;
  readonly status: Status;
  /** The first input's first line, at most 80 characters. */
  readonly title: string;
  readonly metadata: Readonly<Record<string, Json>>;
  /** Timestamps of the first and the last event, ms. */
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly seq: number;
  /** See {@link LogHead}. A run that works and is not owned was left behind by a process that ended: it can be resumed. */
  readonly owned: boolean;
  /** The log of this run cannot be read, and why; the other fields say what is known. */
  readonly problem?: string;
}

/** A command from another process, as the owner of the run takes it. */
export interface PostedCommand {
  readonly id: string;
  readonly command: Json;
}

/**
 * Commands to runs that another process owns, and their answers.
 *
 * Contract: a posted command is either taken by one owner or withdrawn by whoever posted it, never both. Posts to one run are taken in the
 * order in which they were posted. Nothing here is an event: what a command does is recorded by the owner that takes it.
 */
export interface Inbox {
  /** Leaves a command. Answers its id, unique among all commands. */
  post(runId: string, command: Json): Awaitable<string>;
  /** What waits for the owner of this epoch, oldest first, each handed out once. Nothing for an epoch that is not the newest. */
  take(runId: string, epoch: number): Awaitable<readonly PostedCommand[]>;
  /** The owner's answer to a command that it took. */
  answer(runId: string, id: string, answer: Json): Awaitable<void>;
  /** The answer, once; undefined while there is none. */
  answered(runId: string, id: string): Awaitable<Json | undefined>;
  /** Takes a command back. False when somebody took it: then the answer may still come. */
  withdraw(runId: string, id: string): Awaitable<boolean>;
  /** Calls back some time after a command for this run or an answer was left, by any process; perhaps also for nothing. Answers its undo. */
  watch(runId: string, onChange: () => void): () => void;
}

/** Keeps events of a run that it has not appended yet. */
export interface Holder {
  readonly runId: string;
  /** Its epoch: only the newest owner may keep anything. */
  readonly epoch: number;
  /** Appends them. Nothing where there are none. */
  flush(): void;
}

/**
 * The port to where runs are kept. An adapter is one file; one contract suite runs on all of them.
 *
 * Contract:
 * - `append` stores the whole batch or nothing. It answers `undefined` when the batch is durable at once, else a promise that resolves when it
 *   is. The next append of a run is called when the one before has ended. It throws or rejects with {@link RubatoError} `run_exists` when the
 *   first event is seq 1 of a run that exists, `not_owner` when the epoch is not the newest, and `log` for every other refusal (wrong seq,
 *   failed write, damaged log).
 * - A run is created by its first append, which owns it with the epoch that it names.
 * - An empty batch does nothing. A refused batch leaves nothing. Where a failed write may have left something, later reads and claims still see
 *   either the whole batch or nothing of it.
 * - `read` answers durable events only, in order, as many as there are up to `limit` (and `bytes`); none for a run that does not exist. Events are values:
 *   nobody changes them. It rejects with `log` and the seq where the log is damaged, and never skips anything silently: a range that was pruned
 *   reads as one `gap` event, whose seq is the last of the range.
 * - `claim` makes the caller the owner, under the next epoch. From the moment it answers, nothing of an older epoch enters the log (I16), also
 *   of a writer that was stopped in the middle of an append and goes on later.
 * - `release` lets go: the run is owned by nobody until somebody claims it. Releasing an epoch that is not the newest does nothing.
 * - `list` answers the oldest run first.
 * - A run id is data: every id that `agent.run` accepts is a run of its own, also `__proto__`, also one that differs only in its capitals.
 *   `append` refuses every other id (`invalid_option`); elsewhere it is a run that does not exist.
 */
export interface EventLog {
  /** What "durable" means here: `memory` ends with the process, `process` survives kill -9, `power` survives power loss. */
  readonly durability: "memory" | "process" | "power";
  append(runId: string, batch: AppendBatch): undefined | Promise<undefined>;
  /**
   * Calls back at the end of this turn of the event loop. Present where an append costs much more than the fold (a system call, a round trip):
   * deltas that nothing waits for are then appended together, at that moment or before it with the next control event.
   */
  afterTurn?(callback: () => void): void;
  /**
   * The owner of a run asks to keep deltas to itself until this log calls `flush`, which it does before it shows anything of the run to anybody. For
   * a log that everybody reads through this one object. False where somebody watches the run, where the owner is not the newest (its next append says
   * so), and where `writer`, the log that the owner appends to, is a copy of this one with an `append` of its own. It ends with the next append.
   */
  hold?(writer: EventLog, owner: Holder): boolean;
  /** Appends what was held: the same as an append of the events that the tokens stand for, without making them. Present where `hold` is. */
  keep?(runId: string, epoch: number, tokens: HeldTokens): void;
  read(runId: string, range: ReadRange): Awaitable<readonly Event[]>;
  head(runId: string): Awaitable<LogHead>;
  claim(runId: string, options?: ClaimOptions): Awaitable<Claim>;
  release(runId: string, epoch: number): Awaitable<void>;
  /** Calls back some time after events of the run became durable or its owner changed, by any process; perhaps also for nothing. Answers its undo. */
  watch(runId: string, onChange: () => void): () => void;
  list(filter?: { readonly status?: Status }): Awaitable<readonly RunSummary[]>;
  /** Forgets a run. False when there is none. */
  delete(runId: string): Awaitable<boolean>;
  /**
   * Drops the deltas of finished messages and settled calls; what was there reads as `gap`. The fold of what is left has the same state at every
   * control event. Answers how many events were dropped. Throws `owned` as a {@link RubatoError} for a run that somebody owns.
   */
  prune(runId: string): Awaitable<number>;
  /**
   * Reads the whole log of a run and checks what the adapter can check beyond reading: checksums, hashes, what one part says of another. The
   * first problem; undefined when there is none, and for a run that does not exist. Absent where there is nothing to check.
   */
  check?(runId: string): Awaitable<LogProblem | undefined>;
  /** Releases every run that this object owns, and closes what it has open. It can be used again afterwards. */
  close?(): Awaitable<void>;
  readonly inbox: Inbox;
  /** Where snapshots of states are kept between processes. A log without it has them folded anew. */
  readonly snapshots?: SnapshotStore;
}

/** 1 to 128 characters of `A-Z a-z 0-9 . _ -`, not beginning with a dot: a name that is no path. */
export function isRunId(value: unknown): value is string {
  return typeof value === "string" && /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/.test(value);
}
