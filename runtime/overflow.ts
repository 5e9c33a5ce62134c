import { checkKeys, checkOption, isDelay } from "./checks.ts";
import type { RubatoError } from "./errors.ts";

/**
 * What becomes of events that a full queue has no place for. Control events are never dropped, whatever it says: they are queued above the
 * bound, and read from the log where even twice the bound is reached.
 *
 * - `catch-up`: they stay in the log, and the subscriber reads them from there at its own pace. Nothing is lost.
 * - `coalesce`: deltas that follow each other in one text (or in the arguments of one call) become one event: its `text` is theirs together,
 *   its `offset` the first one's, its `seq` and `timestamp` the last one's, so that a cursor behind it is behind all of them. What does not fit
 *   even so is read from the log, merged as well.
 * - `drop-oldest`, `drop-newest`: hot events go, the ones that wait or the ones that come. A `gap` event in their place says which: of what was
 *   asked for, everything hot from `from` to `to` is missing. The log has it.
 * - `disconnect`: the subscription ends, with a {@link RubatoError} `overflow`.
 * - `block`: the model is not read while the queue is over 80 % full, until it is down to 30 %. Once this has lasted `blockTimeoutMs` the
 *   subscriber becomes one of `catch-up`.
 */
export type Overflow = "catch-up" | "coalesce" | "drop-oldest" | "drop-newest" | "disconnect" | "block";

/**
 * How full a queue is: `green` below 30 %, `yellow` up to 70 %, `red` above, `degraded` above 90 % and while the subscriber reads from the
 * log. It falls back 10 points below where it rose, so that it does not change with every event.
 */
export type Level = "green" | "yellow" | "red" | "degraded";

/** What one subscriber has been given, and what waits for it. Of a subscription to many runs: its part in this run, but for the level. */
export interface SubscriberStats {
  readonly pattern: string;
  readonly overflow: Overflow;
  readonly level: Level;
  /** Events that wait in its queue, and their bytes: 2 for each UTF-16 unit of their texts, and 100 for each event. */
  readonly queued: number;
  readonly queuedBytes: number;
  /** The most that ever waited at a time. */
  readonly highWater: number;
  readonly highWaterBytes: number;
  /** Events that were told to it; those from the log that came before it subscribed included, once they are read. */
  readonly produced: number;
  /** Events that it was given; a merged one counts as one. */
  readonly delivered: number;
  /** Events that became part of another one. */
  readonly merged: number;
  readonly dropped: number;
  /** `dropped / produced`, from 0 to 1. */
  readonly dropRate: number;
  /** Calls that threw or rejected, and reads of the log that failed. */
  readonly failed: number;
  /** It reads from the log what its queue had no place for. */
  readonly behind: boolean;
  readonly lastError: unknown;
}

export interface QueueOptions<Policy extends Overflow = Overflow> {
  /** How much may wait: events, from 1, default 1,000; bytes, from 1, default 1,048,576. */
  readonly queue?: { readonly events?: number; readonly bytes?: number };
  /** Default `catch-up`. */
  readonly overflow?: Policy;
  /** How long `block` may hold up a model, ms, default 5,000. */
  readonly blockTimeoutMs?: number;
  /** Called when the level changes. What it throws is counted, and changes nothing. */
  readonly onLevel?: (level: Level, stats: SubscriberStats) => void;
  /** Called when the queue becomes 50 % and 90 % full; again only when it has been 10 points emptier meanwhile. */
  readonly onFill?: (percent: 50 | 90, stats: SubscriberStats) => void;
}

export interface SubscribeOptions<Policy extends Overflow = Overflow> extends QueueOptions<Policy> {
  /** `disconnect` ended the subscription; the message says where to read on. */
  readonly onDisconnect?: (error: RubatoError) => void;
}

const POLICIES: readonly Overflow[] = ["catch-up", "coalesce", "drop-oldest", "drop-newest", "disconnect", "block"];
const QUEUE_KEYS = ["queue", "overflow", "blockTimeoutMs", "onLevel", "onFill"];
const LIMIT_KEYS = ["events", "bytes"];

/** Throws {@link RubatoError} `invalid_option`. */
export function checkSubscribeOptions(options: SubscribeOptions): void {
  checkKeys("subscribe", options, [...QUEUE_KEYS, "onDisconnect"]);
  const { onDisconnect } = options;
  checkOption("onDisconnect", onDisconnect, isCallback(onDisconnect), "a function");
  checkQueueOptions(options);
}

/** Throws {@link RubatoError} `invalid_option`. */
export function checkQueueOptions({
  queue = {},
  overflow = "catch-up",
  blockTimeoutMs = 0,
  onLevel,
  onFill,
}: QueueOptions): void {
  checkOption("queue", queue, typeof queue === "object" && queue !== null, "{ events, bytes }");
  checkKeys("queue", queue, LIMIT_KEYS);
  const { events = 1, bytes = 1 } = queue;
  checkOption("queue.events", events, Number.isSafeInteger(events) && events >= 1, "a whole number from 1");
  checkOption("queue.bytes", bytes, Number.isSafeInteger(bytes) && bytes >= 1, "a whole number from 1");
  checkOption("overflow", overflow, POLICIES.includes(overflow), `one of ${POLICIES.join(", ")}`);
  checkOption("blockTimeoutMs", blockTimeoutMs, isDelay(blockTimeoutMs, 0), "milliseconds from 0 to 2147483647");
  checkOption("onLevel", onLevel, isCallback(onLevel), "a function");
  checkOption("onFill", onFill, isCallback(onFill), "a function");
}

function isCallback(value: unknown): boolean {
  return value === undefined || typeof value === "function";
}
