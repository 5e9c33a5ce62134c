import { firstSeq, isHot, type Event } from "../../../machines/events.ts";
import type { Chain } from "./chain.ts";
import { contextAfter, deltaOf, groupOf, type Context } from "./context.ts";
import { crcAt, crcOf } from "./crc.ts";

const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const QUOTE = 0x22;
const COMMA = 0x2c;
const ZERO = 0x30;
const BACKSLASH = 0x5c;
/** `"<crc>"` and the bracket behind it. */
const CRC_TAIL = 11;
/** `,"h":"<hash>","c":"<crc>"}`. */
const CONTROL_TAIL = 55;
const HASH_AT = 6;

type TokenContext = Extract<Context, { readonly type: "token_stream" }>;

/** A line of a file at which a decoder can go on. */
export interface Place {
  /** Of the line's first byte. */
  readonly offset: number;
  /** Of the event before it. */
  readonly seq: number;
  /** Of the line before it. */
  readonly crc: number;
  readonly context: Context | undefined;
}

/** A record of a pruned range: the lines behind it go on from the CRC of the last line that was there. */
interface StoredRecord {
  readonly seq: number;
  readonly timestamp: number;
  readonly runId?: string;
  readonly type: string;
  readonly data: object;
  readonly cause?: number;
  readonly b?: 1;
  readonly h?: string;
}

/**
 * Lines back to events (encoder.ts). It checks everything that it reads; {@link line} answers what is wrong. The fields say what the last line
 * was: they are set anew by each, instead of an object per line.
 */
export class Decoder {
  /** Of the last event. */
  seq: number;
  crc: number;
  context: Context | undefined;
  /** The batch goes on behind the last line. */
  open = false;
  /** The owner let go: nothing follows. */
  released = false;
  /** What the last line's deltas belong to; empty for any other line. */
  group = "";
  private readonly runId: string;
  private readonly chain: Chain | undefined;

  constructor(runId: string, { seq, crc, context }: Omit<Place, "offset">, chain?: Chain) {
    this.runId = runId;
    this.seq = seq;
    this.crc = crc;
    this.context = context === undefined ? undefined : { ...context };
    this.chain = chain;
  }

  place(offset: number): Place {
    const { seq, crc, context } = this;
    return { offset, seq, crc, context: context === undefined ? undefined : { ...context } };
  }

  /** Whether these bytes are a line whose CRC is right. */
  fits(bytes: Uint8Array, start: number, end: number): boolean {
    return this.crcOfLine(bytes, start, end) !== -1;
  }

  /**
   * Takes in the line at `[start, end)`, without its line end, and adds its events. Answers what is wrong with it; then nothing here holds any
   * more.
   */
  line(bytes: Buffer, start: number, end: number, events: Event[]): string | undefined {
    if (this.released) return "a record stands behind the one that says that the owner let go";
    const crc = this.crcOfLine(bytes, start, end);
    if (crc === -1) return "its checksum is wrong";
    // The bytes are those that were written: what does not fit from here on was written so.
    if (bytes[start] === OPEN_ARRAY) {
      this.crc = crc;
      return this.short(bytes, start, end, events);
    }
    const record: unknown = JSON.parse(bytes.toString("utf8", start, end));
    if (!isRecord(record)) {
      this.released = isRelease(record);
      this.group = "";
      return this.released ? undefined : "it is no event";
    }
    this.crc = crc;
    return this.full(bytes, start, end, record, events);
  }

  private short(bytes: Buffer, start: number, end: number, events: Event[]): string | undefined {
    const { context } = this;
    if (context?.type === "token_stream" && this.plain(bytes, start, end, context, events)) return undefined;
    const parts: unknown = JSON.parse(bytes.toString("utf8", start, end));
    if (!Array.isArray(parts) || context === undefined) return "it continues nothing";
    const count = (parts.length - 1) >> 1;
    for (let at = 0; at < count; at++) {
      const event = deltaOf(context, ++this.seq, this.runId, parts[at * 2], parts[at * 2 + 1]);
      if (event === undefined) return "it is no delta";
      events.push(event);
    }
    this.open = parts.length % 2 === 0;
    if (this.chain !== undefined) this.chain.hot(this.group, bytes.subarray(start, end + 1));
    return undefined;
  }

  /**
   * One token without anything to escape, the commonest line of all, without a parser. False for every other line, and then nothing happened.
   */
  private plain(bytes: Buffer, start: number, end: number, context: TokenContext, events: Event[]): boolean {
    const textEnd = end - CRC_TAIL - 2;
    let at = start + 1;
    let since = 0;
    for (let digit = 0; at < textEnd && (digit = (bytes[at] ?? 0) - ZERO) >= 0 && digit <= 9; at++)
      since = since * 10 + digit;
    if (bytes[at] !== COMMA || bytes[at + 1] !== QUOTE || bytes[textEnd] !== QUOTE || bytes[textEnd + 1] !== COMMA)
      return false;
    for (let next = at + 2; next < textEnd; next++) {
      const byte = bytes[next] ?? 0;
      if (byte >= 0x80 || byte === QUOTE || byte === BACKSLASH) return false;
    }
    if (textEnd < at + 2) return false;
    const text = bytes.toString("latin1", at + 2, textEnd);
    const { kind, messageId, attempt, offset } = context;
    const timestamp = context.timestamp + since;
    context.timestamp = timestamp;
    context.offset = offset + text.length;
    const data = { kind, text, messageId, attempt, offset };
    events.push({ seq: ++this.seq, timestamp, runId: this.runId, type: "token_stream", data });
    this.open = false;
    if (this.chain !== undefined) this.chain.hot(this.group, bytes.subarray(start, end + 1));
    return true;
  }

  private full(bytes: Buffer, start: number, end: number, record: StoredRecord, events: Event[]): string | undefined {
    const { seq, timestamp, runId = this.runId, type, data, cause } = record;
    const event =
      cause === undefined ? { seq, timestamp, runId, type, data } : { seq, timestamp, runId, type, data, cause };
    if (!isEvent(event)) return "it is no event";
    // A range that was pruned here. One that came with a copy of a pruned run is an event like any other.
    const gap = event.type === "gap" && "t" in record;
    const first = firstSeq(event);
    if (first !== this.seq + 1) return `seq ${first} stands there instead`;
    this.seq = seq;
    this.open = record.b === 1;
    this.context = undefined;
    this.group = "";
    if (this.chain?.inRun === true && (gap || isHot(event))) return "the record before it has no hash";
    if (isHot(event)) {
      if (cause === undefined) this.context = contextAfter(event);
      this.group = groupOf(event);
      this.chain?.hot(this.group, bytes.subarray(start, end + 1));
    } else if (gap) {
      const last = crcAt(bytes, end - CRC_TAIL - 14);
      if (last === -1) return "it does not say what it stands for";
      this.crc = last;
      this.chain?.gap(event.data.digest);
    } else if (this.chain !== undefined && record.h === undefined) {
      if (!this.open) return "it has no hash";
      this.chain.control(bytes.subarray(start, end + 1));
    } else if (this.chain !== undefined) {
      const at = end - CONTROL_TAIL;
      const said = bytes.toString("latin1", at + HASH_AT, at + HASH_AT + 32);
      if (this.chain.endRun(bytes.subarray(start, at)) !== said)
        return "the hash of everything before it is another one";
    }
    events.push(event);
    return undefined;
  }

  /** -1 when it is wrong, or when this is no line at all. */
  private crcOfLine(bytes: Uint8Array, start: number, end: number): number {
    const at = end - CRC_TAIL;
    const close = bytes[start] === OPEN_ARRAY ? CLOSE_ARRAY : CLOSE_OBJECT;
    if (at <= start || (close === CLOSE_OBJECT && bytes[start] !== OPEN_OBJECT)) return -1;
    if (bytes[end - 1] !== close || bytes[end - 2] !== QUOTE || bytes[at] !== QUOTE) return -1;
    const crc = crcOf(bytes, start, at, this.crc);
    return crcAt(bytes, at + 1) === crc ? crc : -1;
  }
}

function isRecord(value: unknown): value is StoredRecord {
  return (
    typeof value === "object" &&
    value !== null &&
    "seq" in value &&
    typeof value.seq === "number" &&
    "timestamp" in value &&
    typeof value.timestamp === "number" &&
    "type" in value &&
    typeof value.type === "string" &&
    "data" in value &&
    typeof value.data === "object" &&
    value.data !== null
  );
}

function isRelease(value: unknown): boolean {
  return typeof value === "object" && value !== null && "released" in value;
}

/** The data was checked when it was recorded, and its CRC says that it is the same: checking it field by field would cost more than reading it. */
/** Its bytes are what was written. A type that is not known is of a newer version: it can be read, whoever folds it says so (P9). */
function isEvent(event: { readonly seq: number; readonly type: string }): event is Event {
  return event.seq > 0 && event.type !== "";
}
