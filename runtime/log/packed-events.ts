import { EVENT_TYPES, firstSeq, isHot, type Event, type EventOf } from "../../machines/events.ts";
import { tokenEvents, type HeldTokens } from "./held-tokens.ts";

/**
 * A run's events in memory. What a log keeps alive is most of what many runs at once cost a garbage collector, so it keeps few objects: of a
 * control event its data alone, with the envelope as three numbers; of consecutive tokens of one message one text, and two characters for each.
 * The objects that carried them die young.
 *
 * E1 What is read equals what was appended, field by field; envelopes and tokens are made anew at every read, the data of control events is shared.
 */
export interface PackedEvents {
  /** The last seq. */
  readonly length: number;
  /** The event follows: it begins at seq `length + 1`. */
  append(event: Event): void;
  /** The same for the events that held tokens stand for. */
  appendTokens(runId: string, tokens: HeldTokens): void;
  /** At most `limit` events with a seq above `after`. */
  read(after: number, limit: number): Event[];
  /** All of them that are no deltas. */
  readSettled(after: number): Event[];
}

/** Tokens that follow each other in one kind of one message. The time of the first stands among the facts. */
interface TokenRun {
  readonly kind: "text" | "reasoning";
  readonly messageId: string;
  readonly attempt: number;
  /** Of its first token, as the offset. Those of the others follow from it. */
  readonly seq: number;
  readonly offset: number;
  /** How many, and what all of them say. */
  count: number;
  text: string;
  /** Per token a character whose code is its length; then per token one for its time in ms after the first, where they did not all come at once. */
  codes: string;
}

/** Tokens that one run of them may have: whoever reads in the middle of it adds up the lengths of those before. */
const LONGEST = 256;
/** What fits into the code of one character. */
const MAX_CODE = 0xffff;

/** Where tokens belong. */
type TokenPlace = Pick<TokenRun, "kind" | "messageId" | "attempt" | "offset">;

/** The data of an event, or an event that does not fit into the numbers. */
type Segment = Event["data"] | Event | TokenRun;

/** Numbers per segment: its first seq together with {@link packedKind}, and its time in ms after the run's first; of tokens since 1970. */
const FACTS = 2;
/** What stands for the type of a segment that is no event's data: of a whole event, and of tokens. */
const WHOLE = 63;
const TOKENS = 62;
/** Types that there is room for, those two among them. */
const TYPES = 64;
const MAX_BACK = 2 ** 12;
/** Kinds that there are. Above them a number has room for every seq below 2^35. */
const KINDS = TYPES * MAX_BACK;
/** A list for a moment, of all runs: what is put together here, for every answer, is a text a moment later. */
const CODES: number[] = [];
/** Never written to. */
const NOTHING: never[] = [];
const TYPE_INDEX: ReadonlyMap<string, number> = new Map(EVENT_TYPES.map((type, index) => [type, index]));

export function packedEvents(): PackedEvents {
  return new Packed();
}

class Packed implements PackedEvents {
  length = 0;
  private readonly segments: Segment[] = [];
  private readonly facts: number[] = [];
  private runId = "";
  private origin = 0;
  /** The run of tokens at the end, while more may join it. Its texts and times are kept apart until it is closed. */
  private open: TokenRun | undefined;
  private openedAt = 0;
  private nextOffset = 0;
  private texts: string[] = NOTHING;
  private delays: number[] = NOTHING;
  /** The answer's text so far, where it is all in one run: the message that it becomes has the same text, and one of them is enough. */
  private spoken: TokenRun | undefined;

  append(event: Event): void {
    // A gap stands for more than one.
    this.length = event.type === "gap" ? event.seq : this.length + 1;
    if (event.type === "token_stream" && this.joins(event)) return;
    this.close();
    if (event.type === "token_stream" && event.runId === this.runId && isPackable(event)) {
      this.begin(event);
      return;
    }
    if (event.type === "message") this.share(event);
    if (this.segments.length === 0) {
      this.runId = event.runId;
      this.origin = event.timestamp;
    }
    const { data, runId, timestamp } = event;
    const delay = timestamp - this.origin;
    const kind = packedKind(event);
    const fits = kind !== WHOLE && runId === this.runId && Number.isInteger(delay) && this.origin + delay === timestamp;
    if (fits) this.push(data, event.seq, delay, kind);
    else this.push(event, firstSeq(event), 0, WHOLE);
  }

  appendTokens(runId: string, tokens: HeldTokens): void {
    if (runId !== this.runId || !fitAll(tokens)) {
      for (const event of tokenEvents(runId, tokens)) this.append(event);
      return;
    }
    const { seq, timestamp, count, texts, delays, text } = tokens;
    this.close();
    this.length += count;
    // In one go: most answers begin and end with this, and no object is made for any token of them.
    const run = this.pushRun(seq, timestamp, tokens);
    run.count = count;
    run.text = text;
    run.codes = codesOf(texts, delays, count);
  }

  private pushRun(seq: number, timestamp: number, { kind, messageId, attempt, offset }: TokenPlace): TokenRun {
    const run: TokenRun = { kind, messageId, attempt, seq, offset, count: 0, text: "", codes: "" };
    this.push(run, seq, timestamp, TOKENS);
    this.spoken = kind === "text" ? run : undefined;
    return run;
  }

  private push(segment: Segment, seq: number, delay: number, kind: number): void {
    this.segments.push(segment);
    this.facts.push(seq * KINDS + kind, delay);
  }

  private joins({ runId, timestamp, data, cause }: EventOf<"token_stream">): boolean {
    const { open, texts, delays } = this;
    if (open === undefined) return false;
    const { kind, text, messageId, attempt, offset } = data;
    const delay = timestamp - this.openedAt;
    if (
      cause !== undefined ||
      texts.length >= LONGEST ||
      offset !== this.nextOffset ||
      kind !== open.kind ||
      attempt !== open.attempt ||
      messageId !== open.messageId ||
      runId !== this.runId ||
      text.length > MAX_CODE ||
      !isPlaced(delay, this.openedAt, timestamp)
    ) {
      return false;
    }
    texts.push(text);
    delays.push(delay);
    this.nextOffset = offset + text.length;
    return true;
  }

  private begin(event: EventOf<"token_stream">): void {
    const { text, offset } = event.data;
    this.open = this.pushRun(event.seq, event.timestamp, event.data);
    this.openedAt = event.timestamp;
    this.texts = [text];
    this.delays = [0];
    this.nextOffset = offset + text.length;
  }

  /** No more tokens join the run at the end. */
  private close(): void {
    const { open, texts, delays } = this;
    if (open === undefined) return;
    open.count = texts.length;
    open.text = texts.join("");
    open.codes = codesOf(texts, delays, texts.length);
    this.open = undefined;
    this.texts = NOTHING;
    this.delays = NOTHING;
  }

  private share({ data }: EventOf<"message">): void {
    const { spoken } = this;
    if (spoken !== undefined && spoken.messageId === data.messageId && spoken.text === data.text)
      spoken.text = data.text;
    this.spoken = undefined;
  }

  read(after: number, limit: number): Event[] {
    const events: Event[] = [];
    let seq = after + 1;
    for (let at = this.segmentOf(seq); at < this.segments.length && seq <= this.length && events.length < limit; at++) {
      const segment = this.segments[at];
      if (segment === undefined) break;
      const kind = (this.facts[at * FACTS] ?? WHOLE) % KINDS;
      if (kind === TOKENS) this.addTokens(events, at, seq, limit);
      else if (kind !== WHOLE) events.push(this.eventAt(at, segment, kind));
      else if (isKeptWhole(segment)) events.push(segment);
      else throw new TypeError("unreachable: this kind says what is kept");
      seq = (events.at(-1)?.seq ?? this.length) + 1;
    }
    return events;
  }

  readSettled(after: number): Event[] {
    const events: Event[] = [];
    for (let at = this.segmentOf(after + 1); at < this.segments.length; at++) {
      const segment = this.segments[at];
      const kind = (this.facts[at * FACTS] ?? WHOLE) % KINDS;
      if (segment === undefined || kind === TOKENS) continue;
      const event = kind === WHOLE && isKeptWhole(segment) ? segment : this.eventAt(at, segment, kind);
      if (event.seq > after && !isHot(event)) events.push(event);
    }
    return events;
  }

  /** Tokens from a seq on, until there are `limit` events. */
  private addTokens(events: Event[], at: number, from: number, limit: number): void {
    const run = this.segments[at];
    if (run === undefined || !isTokenRun(run)) throw new TypeError("unreachable: this kind says what is kept");
    if (run === this.open) {
      this.addOpen(events, run, from, limit);
      return;
    }
    const { runId } = this;
    const origin = this.facts[at * FACTS + 1] ?? 0;
    const { kind, messageId, attempt, count, text, codes } = run;
    const timed = codes.length > count;
    let { offset } = run;
    for (let index = 0; index < count && events.length < limit; index++) {
      const length = codes.charCodeAt(index);
      const seq = run.seq + index;
      if (seq >= from) {
        const timestamp = origin + (timed ? codes.charCodeAt(count + index) : 0);
        const begin = offset - run.offset;
        const data = { kind, text: text.slice(begin, begin + length), messageId, attempt, offset };
        events.push({ seq, timestamp, runId, type: "token_stream", data });
      }
      offset += length;
    }
  }

  /** Tokens of the run at the end, whose texts are not put together yet: somebody reads them while they come. */
  private addOpen(events: Event[], open: TokenRun, from: number, limit: number): void {
    const { runId, texts, delays, openedAt } = this;
    const { kind, messageId, attempt } = open;
    const begin = Math.max(0, from - open.seq);
    let offset = this.nextOffset;
    // From the end: who reads along wants the last few.
    for (let index = begin; index < texts.length; index++) offset -= texts[index]?.length ?? 0;
    for (let index = begin; index < texts.length && events.length < limit; index++) {
      const text = texts[index] ?? "";
      const data = { kind, text, messageId, attempt, offset };
      const timestamp = openedAt + (delays[index] ?? 0);
      events.push({ seq: open.seq + index, timestamp, runId, type: "token_stream", data });
      offset += text.length;
    }
  }

  private eventAt(at: number, data: Segment, kind: number): Event {
    const { runId } = this;
    const seq = this.seqAt(at);
    const timestamp = this.origin + (this.facts[at * FACTS + 1] ?? 0);
    const type = EVENT_TYPES[kind % TYPES];
    const back = Math.floor(kind / TYPES);
    const event =
      back === 0 ? { seq, timestamp, runId, type, data } : { seq, timestamp, runId, type, data, cause: seq - back };
    if (isOneEvent(event)) return event;
    throw new TypeError("unreachable: type and data come from one event");
  }

  private seqAt(segment: number): number {
    return Math.floor((this.facts[segment * FACTS] ?? 0) / KINDS);
  }

  /** The segment that a seq lies in, by halves. */
  private segmentOf(seq: number): number {
    let low = 0;
    let high = this.segments.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.seqAt(middle) <= seq) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** The type of an event and how far back its cause lies, or WHOLE where that cannot be told in this way. */
function packedKind({ type, seq, cause }: Event): number {
  const index = TYPE_INDEX.get(type) ?? WHOLE;
  // A gap begins before its seq.
  if (type === "gap" || index >= TOKENS) return WHOLE;
  if (cause === undefined) return index;
  const back = seq - cause;
  return back > 0 && back < MAX_BACK && Number.isInteger(back) ? index + back * TYPES : WHOLE;
}

/** Type and data come from one event, which the compiler cannot follow through the columns. */
function isOneEvent(event: { readonly type: unknown }): event is Event {
  return event.type !== undefined;
}

function isKeptWhole(segment: Segment): segment is Event {
  return "type" in segment && "seq" in segment && "runId" in segment;
}

function isTokenRun(segment: Segment): segment is TokenRun {
  return "codes" in segment && "count" in segment;
}

function isPackable({ data, cause }: EventOf<"token_stream">): boolean {
  return cause === undefined && data.text.length <= MAX_CODE;
}

/** Whether they are one run, and each of them has its place in the code of a character. */
function fitAll({ count, texts, delays, timestamp }: HeldTokens): boolean {
  if (count > LONGEST) return false;
  for (let index = 0; index < count; index++) {
    const delay = delays[index] ?? 0;
    if ((texts[index] ?? "").length > MAX_CODE || !isPlaced(delay, timestamp, timestamp + delay)) return false;
  }
  return true;
}

/** Their lengths, and their times behind them where they did not all come at once. */
function codesOf(texts: readonly string[], delays: readonly number[], count: number): string {
  let timed = false;
  for (let index = 0; index < count; index++) if (delays[index] !== 0) timed = true;
  // Not emptied before: most answers are about as long as the one before, and its list is as long as it has to be.
  CODES.length = timed ? 2 * count : count;
  for (let index = 0; index < count; index++) {
    CODES[index] = texts[index]?.length ?? 0;
    if (timed) CODES[count + index] = delays[index] ?? 0;
  }
  return String.fromCharCode(...CODES);
}

function isPlaced(delay: number, origin: number, timestamp: number): boolean {
  return isCode(delay) && origin + delay === timestamp;
}

/** Times before the first and fractions are possible with a clock of somebody's own. */
function isCode(delay: number): boolean {
  return delay >= 0 && delay <= MAX_CODE && Number.isInteger(delay);
}
