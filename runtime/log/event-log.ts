import type { Event, Json } from "../../machines/events.ts";
import type { Status } from "../../machines/state.ts";

/** A batch for one run, all or nothing. */
export interface AppendBatch {
  /** Who writes: raised by each new owner of the run, refused by the log when it is not the newest. From 1. */
  readonly epoch: number;
  /** Contiguous, in order. The first one's seq is the log's head + 1. */
  readonly events: readonly Event[];
}

export interface ReadRange {
  /** Exclusive: events with a greater seq. 0 reads from the start. */
  readonly after: number;
  /** At most this many, from 1. */
  readonly limit: number;
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
}

/**
 * The port to where runs are kept. An adapter is one file; one contract suite runs on all of them.
 *
 * Contract:
 * - `append` stores the whole batch or nothing. It answers `undefined` when the batch is durable at once, else a promise that resolves when it
 *   is. It throws or rejects with {@link RubatoError} `run_exists` when the first event is seq 1 of a run that exists, and `log` for every
 *   other refusal (wrong seq, stale epoch, failed write).
 * - An empty batch does nothing. A refused batch leaves nothing, its epoch included.
 * - `read` answers durable events only, in order, as many as there are up to `limit`; none for a run that does not exist. Events are values:
 *   nobody changes them.
 * - `list` answers the oldest run first.
 * - A run id is data: every id that `agent.run` accepts is a run of its own, also `__proto__`, also one that differs only in its capitals.
 */
export interface EventLog {
  /** What "durable" means here: `memory` ends with the process, `process` survives kill -9, `power` survives power loss. */
  readonly durability: "memory" | "process" | "power";
  append(runId: string, batch: AppendBatch): undefined | Promise<undefined>;
  read(runId: string, range: ReadRange): readonly Event[] | Promise<readonly Event[]>;
  /** Seq of the last durable event; 0 for a run that does not exist. */
  head(runId: string): number | Promise<number>;
  list(filter?: { readonly status?: Status }): readonly RunSummary[] | Promise<readonly RunSummary[]>;
  /** Forgets a run. False when there is none. */
  delete(runId: string): boolean | Promise<boolean>;
}
