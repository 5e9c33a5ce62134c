import type { EffectName } from "../machines/agent.ts";
import { seal } from "../machines/derive.ts";
import type { Draft, Event, HotEvent } from "../machines/events.ts";
import { isHot } from "../machines/events.ts";
import { isAtRest, type AgentState } from "../machines/state.ts";
import { step, stepDelta } from "../machines/step.ts";
import { added } from "./added.ts";
import { burstTime } from "./burst-time.ts";
import { systemClock, type Clock } from "./clock.ts";
import { messageOf, RubatoError } from "./errors.ts";
import type { Answering, Audience, Head, HeadOptions, HeadOwner } from "./head.ts";
import type { EventLog } from "./log/event-log.ts";
import type { Probe } from "./metrics/probe.ts";
import { isPromiseLike } from "./promise-like.ts";
import { redactDraft, type Redact } from "./redact.ts";

/** Effects that touch the world wait until their event is durable (R1). */
const WAITS: ReadonlySet<EffectName> = new Set<EffectName>(["request", "execute", "schedule_retry"]);

/** Events that may wait for a log that is slow. */
const CROWD = 10_000;
/** Tokens that may wait together (H7). */
const MOST_HELD = 255;
/** The empty list of all heads, never written to: of many runs at once each would look at lists of its own, all somewhere else in memory. */
const NOTHING: never[] = [];

/**
 * Type and data come from one draft, which the compiler cannot follow through the new object; spreading the draft would let it, but makes an
 * object that is larger and slower for the rest of its life in the log.
 */
function isOneEvent(event: Pick<Event, "seq" | "timestamp" | "runId" | "type" | "data">): event is Event {
  return event.seq > 0;
}

interface Todo {
  readonly effect: EffectName;
  readonly event: Event;
}

/** Made for the first that waits: most heads have none of most kinds. */
type Waiters = Set<() => void> | undefined;

/** They are no longer waiting when they are called: whoever begins to wait in one of them waits for the next time. */
function wake(waiters: Waiters): void {
  if (waiters === undefined) return;
  for (const callback of waiters) callback();
}

export function openHead(options: HeadOptions): Head {
  return new OpenHead(options);
}

/** The one implementation of {@link Head}; H1 to H6 stand there. A class, so that all heads have one hidden class: an object literal with getters has one of its own each time, and is slow to use. */
class OpenHead implements Head {
  // In this order they lie in memory: what every delta needs comes first.
  /** The answer whose tokens wait, while they do (H7), and what makes events of them. */
  private held: Answering | undefined;
  private heldKind: "text" | "reasoning" = "text";
  private heldCount = 0;
  /** Their texts, in lists that are kept from answer to answer until the run rests: behind the last one that waits they are empty texts. */
  private heldTexts: string[] = NOTHING;
  /** When the first of them came, and how much later each did, ms: small numbers need no objects of their own. */
  private heldSince = 0;
  private heldDelays: number[] = NOTHING;
  /** A token's time is looked up once for several, and never before this one. */
  private latestTime = 0;
  private latest: AgentState;
  failure: RubatoError | undefined;
  private storedSeq: number;
  private toldSeq: number;
  private pending: Event[] = NOTHING;
  private writing: readonly Event[] = NOTHING;
  private unpublished: Event[] = NOTHING;
  private starts: Todo[] = NOTHING;
  private committing = false;
  /** {@link EventLog.afterTurn} will call. */
  private lingering = false;
  private draining = false;
  private publishing = false;
  private readonly log: EventLog;
  private readonly lingers: boolean;
  readonly runId: string;
  readonly epoch: number;
  private readonly audience: Audience;
  // Three kinds of waiters, so that none is woken for every token that does not need it.
  private storing: Waiters;
  private progress: Waiters;
  private resting: Waiters;
  private effects: Todo[] = NOTHING;
  private rested = false;
  /** Appends so far that did not answer at once. */
  private writes = 0;
  private cancelWatch: (() => void) | undefined;
  private readonly clock: Clock;
  private readonly redact: Redact | undefined;
  private readonly probe: Probe | undefined;
  private readonly owner: HeadOwner;
  private readonly logTimeoutMs: number;

  constructor(options: HeadOptions) {
    this.runId = options.runId;
    this.log = options.log;
    this.lingers = options.log.afterTurn !== undefined;
    this.epoch = options.epoch;
    this.clock = options.clock;
    this.redact = options.redact;
    this.probe = options.probe;
    this.audience = options.audience;
    this.owner = options.owner;
    this.logTimeoutMs = options.logTimeoutMs;
    this.latest = options.state;
    this.storedSeq = options.state.seq;
    this.toldSeq = options.state.seq;
    this.rested = this.storedSeq > 0 && isAtRest(options.state);
  }

  // Whoever looks sees what was said so far (H7).

  get state(): AgentState {
    if (this.held !== undefined) this.flush();
    return this.latest;
  }

  get durableSeq(): number {
    if (this.held !== undefined) this.flush();
    return this.storedSeq;
  }

  get publishedSeq(): number {
    if (this.held !== undefined) this.flush();
    return this.toldSeq;
  }

  get crowded(): boolean {
    return this.pending.length >= CROWD;
  }

  atomically<T>(work: () => T): T {
    if (this.held !== undefined) this.flush();
    if (this.draining) return work();
    this.draining = true;
    try {
      return work();
    } finally {
      this.draining = false;
      this.drain();
    }
  }

  get nextSeq(): number {
    if (this.held !== undefined) this.flush();
    return this.latest.seq + 1;
  }

  get atRest(): boolean {
    if (this.held !== undefined) this.flush();
    return !this.draining && this.settledDown();
  }

  record(drafts: readonly Draft[], cause?: number): number | undefined {
    if (this.held !== undefined) this.flush();
    if (this.failure !== undefined) return undefined;
    let first: number | undefined;
    for (const given of drafts) {
      const draft = this.redact === undefined ? given : this.redacted(given, this.redact);
      if (draft === undefined) return first;
      const event = this.envelope(seal(this.latest, draft), cause ?? first);
      const result = this.probe === undefined ? step(this.latest, event) : this.probe.step(this.latest, event);
      if (!result.accepted) break;
      first ??= event.seq;
      this.latest = result.state;
      this.pending = added(this.pending, event);
      this.unpublished = added(this.unpublished, event);
      for (const effect of result.effects) {
        if (WAITS.has(effect)) this.starts = added(this.starts, { effect, event });
        else this.effects = added(this.effects, { effect, event });
      }
    }
    this.drain();
    return first;
  }

  /** Undefined, and the run at its end, where a text could not be redacted: it must not be recorded as it was. */
  private redacted(draft: Draft, redact: Redact): Draft | undefined {
    try {
      return redactDraft(draft, redact);
    } catch (error) {
      this.fail(error);
      return undefined;
    }
  }

  private envelope({ type, data, cause: own }: Draft, batchCause: number | undefined): Event {
    const { runId } = this;
    const seq = this.latest.seq + 1;
    const timestamp = this.clock.now();
    this.latestTime = timestamp;
    const cause = own ?? batchCause;
    const event =
      cause === undefined ? { seq, timestamp, runId, type, data } : { seq, timestamp, runId, type, data, cause };
    if (isOneEvent(event)) return event;
    throw new TypeError("unreachable: a draft has a type and the data of that type");
  }

  /** The hot path: nothing but the fold, one append and the listeners. */
  delta(event: HotEvent): boolean {
    if (this.held !== undefined) this.flush();
    if (this.failure !== undefined) return false;
    const next = stepDelta(this.latest, event);
    if (next === undefined) return false;
    this.latest = next;
    this.latestTime = event.timestamp;
    if (this.committing || this.draining || this.lingering || this.pending.length > 0) {
      this.pending = added(this.pending, event);
    } else if (this.lingers) {
      this.pending = added(this.pending, event);
      this.linger();
    } else {
      this.writing = [event];
      this.write();
      if (this.failed()) return false;
    }
    if (this.unpublished.length > 0 || this.publishing) {
      this.unpublished = added(this.unpublished, event);
      return true;
    }
    this.publishing = true;
    this.tell(event);
    this.publishing = false;
    if (this.unpublished.length > 0) this.publishReady();
    // A listener recorded something: what follows from it, rest included, could not be seen before it was published.
    if (this.latest !== next) this.drain();
    return true;
  }

  token(answer: Answering, kind: "text" | "reasoning", text: string, offset: number): boolean {
    if (this.held === answer && this.heldKind === kind && this.holds(text)) return true;
    const { messageId, attempt } = answer;
    const seq = this.nextSeq;
    if (this.mayHold(answer, kind, offset)) {
      this.held = answer;
      this.heldKind = kind;
      if (this.holds(text)) return true;
    }
    return this.delta({
      seq,
      timestamp: this.tokenTime(),
      runId: this.runId,
      type: "token_stream",
      data: { kind, text, messageId, attempt, offset },
    });
  }

  /** Not before what it follows, unless the clock itself went back. */
  private tokenTime(): number {
    if (this.clock !== systemClock) return this.clock.now();
    const time = burstTime();
    if (time >= this.latestTime) return time;
    this.latestTime = this.clock.now();
    return this.latestTime;
  }

  /** All before it is told and stored, nobody waits for more, nobody would be told, and the state takes it as the next of this answer (R4). */
  private mayHold({ messageId, attempt }: Answering, kind: "text" | "reasoning", offset: number): boolean {
    if (this.log.keep === undefined || this.failure !== undefined) return false;
    const { seq, answer, answerText, answerReasoning, core } = this.latest;
    return (
      this.storedSeq === seq &&
      this.toldSeq === seq &&
      this.progress === undefined &&
      this.storing === undefined &&
      !this.draining &&
      !this.publishing &&
      !this.audience.hears("token_stream") &&
      answer !== undefined &&
      answer.messageId === messageId &&
      answer.attempt === attempt &&
      offset === (kind === "text" ? answerText : answerReasoning).length &&
      (core.value === "thinking.streaming" || core.value === "thinking.requesting") &&
      this.log.hold?.(this.log, this) === true
    );
  }

  /** One more waits. Not where there are too many, or where its time could not be told from the first one's (a clock with fractions). */
  private holds(text: string): boolean {
    const now = this.tokenTime();
    const { heldCount: at } = this;
    if (at === 0) this.heldSince = now;
    const delay = now - this.heldSince;
    if (at >= MOST_HELD || this.heldSince + delay !== now) return false;
    if (at < this.heldTexts.length) {
      this.heldTexts[at] = text;
      this.heldDelays[at] = delay;
    } else {
      this.heldTexts = added(this.heldTexts, text);
      this.heldDelays = added(this.heldDelays, delay);
    }
    this.heldCount = at + 1;
    return true;
  }

  flush(): void {
    const { held, heldKind: kind, heldCount: count, heldSince: timestamp, heldDelays: delays, runId } = this;
    this.held = undefined;
    if (held === undefined || count === 0) return;
    this.heldCount = 0;
    const texts = this.heldTexts;
    const { messageId, attempt } = held;
    const { answerText, answerReasoning } = this.latest;
    const offset = kind === "text" ? answerText.length : answerReasoning.length;
    const seq = this.latest.seq + 1;
    const last = this.latest.seq + count;
    const text = count === 1 ? (texts[0] ?? "") : texts.join("");
    // Folded as one: nothing came between them, and texts that are added one after the other are the same text.
    const next = stepDelta(this.latest, {
      seq: last,
      timestamp: timestamp + (delays[count - 1] ?? 0),
      runId,
      type: "token_stream",
      data: { kind, text, messageId, attempt, offset },
    });
    if (next === undefined) throw new TypeError("unreachable: the token before these was taken");
    this.latest = next;
    try {
      this.log.keep?.(runId, this.epoch, {
        seq,
        timestamp,
        kind,
        messageId,
        attempt,
        offset,
        count,
        texts,
        delays,
        text,
      });
    } catch (error) {
      this.fail(error);
      return;
    }
    for (let at = 0; at < count; at++) texts[at] = "";
    this.storedSeq = last;
    this.toldSeq = last;
    this.audience.passed(count);
  }

  private dropLists(): void {
    this.heldCount = 0;
    this.heldTexts = NOTHING;
    this.heldDelays = NOTHING;
  }

  /** Once per turn of the event loop: what was committed before it ends is not there any more when the log calls. */
  private linger(): void {
    this.lingering = true;
    this.log.afterTurn?.(() => {
      this.lingering = false;
      this.drain();
    });
  }

  /** Runs what is due until nothing is: effects on the run first, so that what belongs together is committed together. */
  private drain(): void {
    if (this.draining) return;
    this.draining = true;
    do {
      while (this.effects.length > 0) {
        const due = this.effects;
        this.effects = NOTHING;
        for (const todo of due) this.act(todo);
      }
    } while (this.commit() || this.effects.length > 0);
    this.draining = false;
    const still = this.settledDown();
    if (still !== this.rested) {
      this.rested = still;
      if (still) {
        this.endWatch();
        this.dropLists();
      }
      this.owner.onRest(still);
    }
    // Also where the run left its rest and came back to it in one go: somebody may have begun to wait in between.
    if (still && this.resting !== undefined) this.wakeResting();
    if (still && this.progress !== undefined) this.wakeProgress();
    if (still && this.storing !== undefined) this.wakeStoring();
  }

  /** Hands what is pending to the log. True when it is durable already. */
  private commit(): boolean {
    if (this.committing || this.pending.length === 0 || this.failure !== undefined) return false;
    this.writing = this.pending;
    this.pending = NOTHING;
    return this.write();
  }

  /** Whatever an effect throws is a fault of ours or of an injected part, never of the log; the run ends in a known state all the same. */
  private act({ effect, event }: Todo): void {
    try {
      this.owner.perform(effect, event);
    } catch (error) {
      this.fail(new RubatoError("internal", `The effect "${effect}" failed: ${messageOf(error)}`, { cause: error }));
    }
  }

  private write(): boolean {
    let written: undefined | Promise<undefined>;
    const begun = this.probe?.beginAppend();
    try {
      written = this.log.append(this.runId, { epoch: this.epoch, events: this.writing });
    } catch (error) {
      this.fail(error);
      return false;
    }
    if (written === undefined) {
      this.probe?.endAppend(begun);
      this.stored();
      return true;
    }
    if (!isPromiseLike(written)) {
      this.fail(new RubatoError("log", "The log answered neither undefined nor a promise."));
      return false;
    }
    this.committing = true;
    this.writes++;
    this.watchLog();
    written.then(
      () => {
        this.committing = false;
        this.probe?.endAppend(begun);
        // It came after all, but the run has ended without it (H6).
        if (this.failure !== undefined) return;
        this.stored();
        this.drain();
      },
      (error: unknown) => {
        this.committing = false;
        if (this.failure === undefined) this.fail(error);
      },
    );
    return false;
  }

  /** One timer for all appends: it looks whether the one that it began with is still out. It ends when the run rests. */
  private watchLog(): void {
    if (this.cancelWatch !== undefined) return;
    const { logTimeoutMs } = this;
    const watched = this.writes;
    this.cancelWatch = this.clock.timer(logTimeoutMs, () => {
      this.cancelWatch = undefined;
      if (!this.committing) return;
      if (this.writes !== watched) this.watchLog();
      else this.fail(new RubatoError("log", `The log did not store an event within ${logTimeoutMs} ms.`));
    });
  }

  private endWatch(): void {
    this.cancelWatch?.();
    this.cancelWatch = undefined;
  }

  private stored(): void {
    const { writing } = this;
    this.storedSeq = writing[writing.length - 1]?.seq ?? this.storedSeq;
    this.writing = NOTHING;
    this.audience.stored(writing);
    if (this.unpublished.length > 0) this.publishReady();
    if (this.storing !== undefined) this.wakeStoring();
    if (this.starts.length === 0) return;
    const due = this.starts;
    this.starts = NOTHING;
    for (const todo of due) {
      // What one of them recorded may have made the log fail: then nothing more starts (H6).
      if (this.failure !== undefined) return;
      if (todo.event.seq <= this.storedSeq) this.act(todo);
      else this.starts = added(this.starts, todo);
    }
  }

  private publishReady(): void {
    if (this.publishing) return;
    this.publishing = true;
    let count = 0;
    for (; count < this.unpublished.length; count++) {
      const event = this.unpublished[count];
      if (event === undefined || (event.seq > this.storedSeq && !isHot(event))) break;
      this.tell(event);
    }
    this.unpublished = count === this.unpublished.length ? NOTHING : this.unpublished.slice(count);
    this.publishing = false;
  }

  private tell(event: Event): void {
    this.toldSeq = event.seq;
    this.audience.publish(event);
    if (this.progress !== undefined) this.wakeProgress();
  }

  private wakeStoring(): void {
    const waiting = this.storing;
    this.storing = undefined;
    wake(waiting);
  }

  private wakeProgress(): void {
    const waiting = this.progress;
    this.progress = undefined;
    wake(waiting);
  }

  private wakeResting(): void {
    const waiting = this.resting;
    this.resting = undefined;
    wake(waiting);
  }

  private fail(error: unknown): void {
    this.failure =
      error instanceof RubatoError
        ? error
        : new RubatoError("log", "The log could not store an event.", { cause: error });
    this.held = undefined;
    this.dropLists();
    this.pending = NOTHING;
    this.writing = NOTHING;
    this.unpublished = NOTHING;
    this.effects = NOTHING;
    this.starts = NOTHING;
    this.endWatch();
    this.owner.onFailure(this.failure);
    if (!this.rested) {
      this.rested = true;
      this.owner.onRest(true);
    }
    this.wakeStoring();
    this.wakeResting();
    this.wakeProgress();
  }

  private failed(): boolean {
    return this.failure !== undefined;
  }

  private settledDown(): boolean {
    return (
      this.failure !== undefined ||
      (isAtRest(this.latest) && this.storedSeq === this.latest.seq && this.toldSeq === this.latest.seq)
    );
  }

  async durable(seq: number): Promise<void> {
    if (this.held !== undefined) this.flush();
    while (this.storedSeq < seq) {
      if (this.failure !== undefined) throw this.failure;
      await new Promise<void>((resolve) => {
        this.storing ??= new Set();
        this.storing.add(resolve);
      });
    }
  }

  volatileAfter(cursor: number): readonly Event[] {
    if (this.held !== undefined) this.flush();
    if (this.toldSeq === this.storedSeq) return [];
    return [...this.writing, ...this.pending].filter((event) => event.seq > cursor && event.seq <= this.toldSeq);
  }

  rest<T>(read: () => T): Promise<T> {
    if (this.atRest) return Promise.resolve(read());
    return new Promise((resolve) => {
      this.resting ??= new Set();
      this.resting.add(() => {
        resolve(read());
      });
    });
  }

  leave(): void {
    this.wakeStoring();
    this.wakeProgress();
  }

  onProgress(callback: () => void): () => void {
    if (this.held !== undefined) this.flush();
    this.progress ??= new Set();
    this.progress.add(callback);
    return () => {
      this.progress?.delete(callback);
    };
  }

  onStored(callback: () => void): () => void {
    if (this.held !== undefined) this.flush();
    this.storing ??= new Set();
    this.storing.add(callback);
    return () => {
      this.storing?.delete(callback);
    };
  }
}
