import { EVENT_TYPES, firstSeq, type Event, type EventOf } from "../../machines/events.ts";
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
}

/** Tokens that follow each other in one kind of one message. */
interface TokenRun {
  readonly type: "tokens";
  readonly runId: string;
  readonly kind: "text" | "reasoning";
  readonly messageId: string;
  readonly attempt: number;
  /** Of its first token, as the two below. Those of the others follow from it. */
  readonly seq: number;
  readonly offset: number;
  readonly timestamp: number;
  /** All its tokens, and per token the code of a character for its length and for its time in ms after the first; no times where all came at once. */
  text: string;
  lengths: string;
  delays: string;
}

/** Tokens that one run of them may have: whoever reads in the middle of it adds up the lengths of those before. */
const LONGEST = 256;
/** What fits into the code of one character. */
const MAX_CODE = 0xffff;

type FirstToken = Pick<TokenRun, "seq" | "runId" | "timestamp">;
/** Where tokens belong. */
type TokenPlace = Pick<TokenRun, "kind" | "messageId" | "attempt" | "offset">;
type Said = Pick<TokenRun, "text" | "lengths" | "delays">;
/** Of a run that is open: put together when it is closed. */
const UNSAID: Said = { text: "", lengths: "", delays: "" };

/** The data of an event, or an event that does not fit into the numbers. */
type Segment = Event["data"] | Event | TokenRun;

/** Numbers per segment: its first seq together with {@link packedKind}, and its time in ms after the run's first. */
const FACTS = 2;
/** What stands for the type of a segment that is no event's data. */
const WHOLE = 63;
/** Types that there is room for beside it. */
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
    if (event.type === "token_stream" && isPackable(event)) {
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
    if (!fitAll(tokens)) {
      for (const event of tokenEvents(runId, tokens)) this.append(event);
      return;
    }
    const { seq, timestamp, count, texts, delays, text } = tokens;
    this.close();
    this.length += count;
    // In one go: most answers begin and end with this, and no object is made for any token of them.
    const said = { text, lengths: lengthsOf(texts, count), delays: codesOf(delays, count) };
    this.pushRun({ seq, runId, timestamp }, tokens, said);
  }

  private pushRun({ seq, runId, timestamp }: FirstToken, place: TokenPlace, { text, lengths, delays }: Said): TokenRun {
    const { kind, messageId, attempt, offset } = place;
    const run: TokenRun = {
      type: "tokens",
      runId,
      kind,
      messageId,
      attempt,
      seq,
      offset,
      timestamp,
      text,
      lengths,
      delays,
    };
    this.push(run, seq, 0, WHOLE);
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
    const delay = timestamp - open.timestamp;
    if (
      cause !== undefined ||
      texts.length >= LONGEST ||
      offset !== this.nextOffset ||
      kind !== open.kind ||
      attempt !== open.attempt ||
      messageId !== open.messageId ||
      runId !== open.runId ||
      text.length > MAX_CODE ||
      !isPlaced(delay, open.timestamp, timestamp)
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
    this.open = this.pushRun(event, event.data, UNSAID);
    this.texts = [text];
    this.delays = [0];
    this.nextOffset = offset + text.length;
  }

  /** No more tokens join the run at the end. */
  private close(): void {
    const { open, texts, delays } = this;
    if (open === undefined) return;
    open.text = texts.join("");
    open.lengths = lengthsOf(texts, texts.length);
    open.delays = codesOf(delays, delays.length);
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
      if (kind !== WHOLE) events.push(this.eventAt(at, segment, kind));
      else if (!isKeptWhole(segment)) throw new TypeError("unreachable: this kind says what is kept");
      else if (segment === this.open) this.addOpen(events, segment, seq, limit);
      else if (segment.type === "tokens") addTokens(events, segment, seq, limit);
      else events.push(segment);
      seq = (events.at(-1)?.seq ?? this.length) + 1;
    }
    return events;
  }

  /** Tokens of the run at the end, whose texts are not put together yet: somebody reads them while they come. */
  private addOpen(events: Event[], open: TokenRun, from: number, limit: number): void {
    const { texts, delays } = this;
    const { runId, kind, messageId, attempt } = open;
    const begin = Math.max(0, from - open.seq);
    let offset = this.nextOffset;
    // From the end: who reads along wants the last few.
    for (let index = begin; index < texts.length; index++) offset -= texts[index]?.length ?? 0;
    for (let index = begin; index < texts.length && events.length < limit; index++) {
      const text = texts[index] ?? "";
      const data = { kind, text, messageId, attempt, offset };
      const timestamp = open.timestamp + (delays[index] ?? 0);
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
  if (type === "gap" || index >= WHOLE) return WHOLE;
  if (cause === undefined) return index;
  const back = seq - cause;
  return back > 0 && back < MAX_BACK && Number.isInteger(back) ? index + back * TYPES : WHOLE;
}

/** Type and data come from one event, which the compiler cannot follow through the columns. */
function isOneEvent(event: { readonly type: unknown }): event is Event {
  return event.type !== undefined;
}

function isKeptWhole(segment: Segment): segment is Event | TokenRun {
  return "type" in segment && "seq" in segment && "runId" in segment;
}

/** Tokens from a seq on, until there are `limit` events. */
function addTokens(events: Event[], tokens: TokenRun, from: number, limit: number): void {
  const { runId, kind, messageId, attempt, text, lengths, delays } = tokens;
  let at = 0;
  for (let index = 0; index < lengths.length && events.length < limit; index++) {
    const length = lengths.charCodeAt(index);
    const seq = tokens.seq + index;
    if (seq >= from) {
      const timestamp = tokens.timestamp + (delays === "" ? 0 : delays.charCodeAt(index));
      const data = { kind, text: text.slice(at, at + length), messageId, attempt, offset: tokens.offset + at };
      events.push({ seq, timestamp, runId, type: "token_stream", data });
    }
    at += length;
  }
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

function lengthsOf(texts: readonly string[], count: number): string {
  // Not emptied before: most answers are about as long as the one before, and its list is as long as it has to be.
  CODES.length = count;
  for (let index = 0; index < count; index++) CODES[index] = texts[index]?.length ?? 0;
  return String.fromCharCode(...CODES);
}

/** No times where all came at once. */
function codesOf(delays: readonly number[], count: number): string {
  CODES.length = count;
  let any = false;
  for (let index = 0; index < count; index++) {
    const delay = delays[index] ?? 0;
    if (delay !== 0) any = true;
    CODES[index] = delay;
  }
  return any ? String.fromCharCode(...CODES) : "";
}

function isPlaced(delay: number, origin: number, timestamp: number): boolean {
  return isCode(delay) && origin + delay === timestamp;
}

/** Times before the first and fractions are possible with a clock of somebody's own. */
function isCode(delay: number): boolean {
  return delay >= 0 && delay <= MAX_CODE && Number.isInteger(delay);
}
