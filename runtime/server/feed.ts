import type { Clock } from "../clock.ts";
import { PAGE_BYTES, type EventLog, type LogHead } from "../log/event-log.ts";
import { isPromiseLike } from "../promise-like.ts";
import { encode, type Chunk, type Format } from "./encode.ts";

/**
 * What the clients of one run read: its log, encoded once for all who are at the same place.
 *
 * F1 Only what the log holds is handed out (P2), in order of seq, from any cursor (P26).
 * F2 A client has nothing here but its cursor: one that stalls costs nothing. Chunks are kept for a while, up to a bound.
 * F3 It looks at the log only while somebody follows. Changes within one turn of the event loop are told once, so that a busy run is many events
 *    per write.
 * F4 Whoever catches up is handed one chunk in a turn of the event loop, in turns with the others: those who came together stay together and share
 *    what is read and encoded, and nobody's long log holds up the rest of the process.
 * F5 A run that is deleted while it is followed is noticed within a heartbeat: a log without it looks like one to which nothing is added.
 */
export class RunFeed {
  readonly runId: string;
  private readonly log: EventLog;
  private readonly views = new Map<string, FeedView>();
  /** What to call when there may be something new, with what to call when the run is gone. */
  private readonly followers = new Map<() => void, () => void>();
  private readonly clock: Clock;
  private readonly onIdle: () => void;
  private unwatch: (() => void) | undefined;
  private due: NodeJS.Immediate | undefined;
  private readonly waiting = new Set<() => void>();
  private turn: NodeJS.Immediate | undefined;
  /** Counts what the log announced: an answer that is older may be stale. */
  changes = 0;
  private glancedAt = 0;
  private encodedAt = 0;
  private stopTimer: (() => void) | undefined;

  constructor(log: EventLog, runId: string, clock: Clock, onIdle: () => void) {
    this.log = log;
    this.runId = runId;
    this.clock = clock;
    this.onIdle = onIdle;
  }

  /** Calls back when there may be something new, and when the run was deleted, until the answered function is called. */
  follow(onChange: () => void, onGone: () => void): () => void {
    this.followers.set(onChange, onGone);
    this.unwatch ??= this.log.watch(this.runId, () => {
      this.due ??= setImmediate(() => {
        this.due = undefined;
        this.announce();
      });
    });
    return () => {
      this.waiting.delete(onChange);
      if (!this.followers.delete(onChange) || this.followers.size > 0) return;
      this.unwatch?.();
      this.unwatch = undefined;
      clearImmediate(this.due);
      this.due = undefined;
      clearImmediate(this.turn);
      this.turn = undefined;
      this.stopTimer?.();
      this.stopTimer = undefined;
      this.views.clear();
      this.onIdle();
    };
  }

  /** Calls a follower again in the next turn of the event loop (F4), once however often it asks. */
  again(onChange: () => void): void {
    if (!this.followers.has(onChange)) return;
    this.waiting.add(onChange);
    this.turn ??= setImmediate(() => {
      this.turn = undefined;
      const these = [...this.waiting];
      this.waiting.clear();
      for (const follower of these) follower();
    });
  }

  /** Has everybody look, once in such a time: a log may lose an announcement. */
  glance(now: number, everyMs: number): void {
    if (now - this.glancedAt < everyMs) return;
    this.glancedAt = now;
    this.announce();
    if (this.followers.size === 0) return;
    const head = this.log.head(this.runId);
    if (!isPromiseLike(head)) this.seen(head);
    // A log that cannot be read is told by those who read it.
    else
      head.then(
        (found) => this.seen(found),
        () => {},
      );
  }

  private seen({ seq }: LogHead): void {
    if (seq > 0) return;
    const gone = [...this.followers.values()];
    for (const onGone of gone) onGone();
  }

  /** Something was encoded and is kept: not for longer than somebody else may want it (F2). */
  encoded(): void {
    this.encodedAt = this.clock.monotonic();
    this.stopTimer ??= this.clock.timer(KEPT_MS, this.sweep, true);
  }

  private readonly sweep = (): void => {
    const left = this.encodedAt + KEPT_MS - this.clock.monotonic();
    this.stopTimer = left > 0 ? this.clock.timer(left, this.sweep, true) : undefined;
    if (left <= 0) for (const view of this.views.values()) view.forget();
  };

  /** What was found to be the end may not be it any more. */
  expire(): void {
    this.changes++;
  }

  private announce(): void {
    this.expire();
    for (const onChange of this.followers.keys()) onChange();
  }

  view(format: Format, types: ReadonlySet<string> | undefined): FeedView {
    const key = types === undefined ? format : `${format} ${[...types].sort().join(" ")}`;
    const known = this.views.get(key);
    if (known !== undefined) return known;
    const view = new FeedView(this, this.log, format, types);
    this.views.set(key, view);
    const [oldest] = this.views;
    if (oldest !== undefined && this.views.size > MAX_VIEWS) {
      this.views.delete(oldest[0]);
      oldest[1].retire();
    }
    return view;
  }
}

/** Ways to see one run that share what they read: a client may ask for one filter after the other. */
const MAX_VIEWS = 8;
/** Events per read. */
const PAGE = 512;
/** What a chunk costs beside its bytes, also one whose events were all left out. */
const CHUNK_COST = 256;
/** Bytes of chunks that are kept for others who come to the same place a moment later: as far as a hundred of them are apart who came at once. */
const KEPT = 4_194_304;
/** How long after the last one, ms. */
const KEPT_MS = 1_000;

/** One way to see a run: a format, and perhaps a filter. */
export class FeedView {
  private readonly feed: RunFeed;
  private readonly log: EventLog;
  private readonly format: Format;
  private readonly types: ReadonlySet<string> | undefined;
  /** By the cursor that they begin behind; the oldest first. */
  private readonly chunks = new Map<number, Chunk>();
  /** Reads under way, by cursor; only who knows of no later change may wait for one. */
  private readonly reading = new Map<number, { readonly as: number; readonly chunk: Promise<Chunk | undefined> }>();
  private kept = 0;
  private retired = false;
  /** Where there was nothing, and as of which change. */
  private empty = { at: -1, as: -1 };

  constructor(feed: RunFeed, log: EventLog, format: Format, types: ReadonlySet<string> | undefined) {
    this.feed = feed;
    this.log = log;
    this.format = format;
    this.types = types;
  }

  /** What comes behind a cursor; undefined where there is nothing yet. Rejects or throws where the log cannot be read. */
  next(cursor: number): Chunk | undefined | Promise<Chunk | undefined> {
    const known = this.chunks.get(cursor);
    if (known !== undefined) return known;
    const { changes: as } = this.feed;
    if (this.empty.at === cursor && this.empty.as === as) return undefined;
    const under = this.reading.get(cursor);
    if (under?.as === as) return under.chunk;
    const page = this.log.read(this.feed.runId, { after: cursor, limit: PAGE, bytes: PAGE_BYTES });
    if (!isPromiseLike(page)) return this.take(cursor, page, as);
    const forget = (): void => {
      if (this.reading.get(cursor) === reading) this.reading.delete(cursor);
    };
    const reading = {
      as,
      chunk: page.then(
        (events) => {
          forget();
          return this.take(cursor, events, as);
        },
        (error: unknown) => {
          forget();
          throw error;
        },
      ),
    };
    this.reading.set(cursor, reading);
    return reading.chunk;
  }

  /** Nobody else comes to it: whoever has it reads alone. */
  retire(): void {
    this.retired = true;
    this.forget();
  }

  /** Gives back what was kept for others. */
  forget(): void {
    this.chunks.clear();
    this.kept = 0;
  }

  private take(cursor: number, events: Parameters<typeof encode>[0], as: number): Chunk | undefined {
    if (events.length === 0) {
      this.empty = { at: cursor, as };
      return undefined;
    }
    const chunk = encode(events, this.format, this.types);
    if (this.retired) return chunk;
    // Read twice where something was announced meanwhile.
    this.drop(cursor);
    this.chunks.set(cursor, chunk);
    this.feed.encoded();
    this.kept += CHUNK_COST + chunk.bytes.length;
    for (const at of this.chunks.keys()) {
      if (this.kept <= KEPT || at === cursor) break;
      this.drop(at);
    }
    return chunk;
  }

  private drop(cursor: number): void {
    const old = this.chunks.get(cursor);
    if (old === undefined) return;
    this.chunks.delete(cursor);
    this.kept -= CHUNK_COST + old.bytes.length;
  }
}
