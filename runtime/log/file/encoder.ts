import { isHot, type Event, type EventOf, type HotEvent, type Json } from "../../../machines/events.ts";
import type { Chain } from "./chain.ts";
import { contextAfter, continued, groupOf, type Context } from "./context.ts";
import { crcOf, crcText, putCrc } from "./crc.ts";

/** Deltas in one line at most: a reader finds any of them without taking apart a line of a megabyte. */
const DELTAS_PER_LINE = 64;
/** Short deltas in a row at most; then one is written in full. Whoever looks at the end of a file alone finds a seq there. */
const SHORT_IN_A_ROW = 256;
const SCRATCH_BYTES = 65_536;
const QUOTE = 0x22;
const CLOSE_ARRAY = 0x5d;
const CLOSE_OBJECT = 0x7d;
const LINE_END = 0x0a;
/** Between two control records of a batch: the first one's end, its CRC still to be filled in. */
const OPEN_END = ',"b":1,"c":"00000000"}\n';
/** A CRC, its quotes, the bracket behind it and the line end. */
const CRC_END = 12;

/** Where the end of a segment stands: what the next line goes on from. */
export interface SegmentEnd {
  /** Of the last event. */
  readonly seq: number;
  readonly crc: number;
  readonly chain: Chain;
}

/**
 * Events to lines. One line per event, but for deltas that continue the one before: those are short and may share a line.
 *
 *     {"seq":3,"timestamp":1700,"type":"thinking","data":{...},"h":"<hash>","c":"<crc>"}          a control record
 *     {"seq":5,"timestamp":1703,"type":"done","data":{...},"b":1,"c":"<crc>"}                     one with another behind it in its batch
 *     {"seq":4,"timestamp":1701,"type":"token_stream","data":{...},"c":"<crc>"}                   a delta in full
 *     [12," the","<crc>"]                                                                         one more, 12 ms later
 *     [9," cat",0," sat",1,"<crc>"]                                                               two, and the batch goes on
 *
 * F1 A line's CRC covers the line before its CRC and goes on from the CRC of the line before it, so a line that was changed, moved, left out or
 *    put in is found where it is. A pruned range's record (`gapLine`) carries the CRC of the last line that it stands for (`"t"`), so what
 *    follows it stays as it was. F2 A record that is not the last of its batch says so (`"b":1`, or the lone 1 in a short line): a file that
 *    ends behind one ends in the middle of a batch. F3 The run id is left out where it is that of the file. F4 A control record holds a hash
 *    (chain.ts) unless the next record of its batch is a control record too.
 */
export class Encoder {
  /** Of the last event. */
  seq: number;
  crc: number;
  /** Of the batch: the scratch begins with its bytes. */
  length = 0;
  private readonly runId: string;
  private readonly scratch: Scratch;
  private readonly chain: Chain;
  private context: Context | undefined;
  private shorts = 0;
  private what = "";
  /** Where the lines of the open group begin in the scratch. */
  private group = -1;
  /** The list of {@link controls}, empty between two calls. */
  private readonly ends: number[] = [];

  constructor(runId: string, { seq, crc, chain }: SegmentEnd, scratch: Scratch) {
    this.runId = runId;
    this.scratch = scratch;
    this.seq = seq;
    this.crc = crc;
    this.chain = chain;
  }

  /** Writes the lines of a batch to the scratch. */
  batch(events: readonly Event[]): void {
    this.length = 0;
    for (let at = 0; at < events.length;) {
      const event = events[at];
      if (event === undefined) break;
      at = isHot(event) ? this.hot(events, at, event) : this.controls(events, at, event);
    }
    if (this.group === -1) return;
    this.chain.hot(this.what, this.scratch.bytes.subarray(this.group, this.length));
    this.group = -1;
  }

  /** The line that says that the owner let go. No event, and no part of the chain. */
  released(timestamp: number): void {
    this.length = 0;
    this.line(`{"released":${timestamp},"c":`, "}", false);
  }

  /** Control records one behind the other, from `events[at]` on. Answers where the next event begins. */
  private controls(events: readonly Event[], at: number, first: Event): number {
    this.endGroup();
    this.context = undefined;
    const { length: start, ends } = this;
    let next = at + 1;
    let last = first;
    // In one text: writing it to the scratch costs as much as writing one of its lines.
    let text = this.envelope(first);
    for (; ; next++) {
      const event = events[next];
      if (event === undefined || isHot(event)) break;
      text += OPEN_END;
      ends.push(text.length);
      text += this.envelope(event);
      last = event;
    }
    if (next < events.length) text += ',"b":1';
    // A UTF-16 unit is three bytes at most.
    const bytes = this.scratch.hold(start, start + text.length * 3 + 128);
    const written = bytes.write(text, start);
    let line = start;
    for (const length of ends) {
      const end = written === text.length ? start + length : bytes.indexOf(LINE_END, line) + 1;
      this.crc = crcOf(bytes, line, end - CRC_END, this.crc);
      putCrc(bytes, end - CRC_END + 1, this.crc);
      line = end;
    }
    ends.length = 0;
    const end = start + written;
    const h = this.chain.endRun(bytes.subarray(start, end));
    this.close(line, end + bytes.write(`,"h":"${h}","c":`, end), CLOSE_OBJECT, true);
    this.seq = last.seq;
    return next;
  }

  /** One line of deltas, from `events[at]` on. Answers where the next one begins. */
  private hot(events: readonly Event[], at: number, first: HotEvent): number {
    const parts: Json[] = [];
    if (this.context === undefined || !this.short(this.context, first, parts))
      return this.full(first, at + 1, events.length);
    let next = at + 1;
    for (; next < events.length && next - at < DELTAS_PER_LINE; next++) {
      const event = events[next];
      if (event === undefined || !isHot(event) || !this.short(this.context, event, parts)) break;
    }
    if (next < events.length) parts.push(1);
    this.line(`${JSON.stringify(parts).slice(0, -1)},`, "]", true);
    this.seq += next - at;
    return next;
  }

  /** Adds what a short line holds of a delta. False where it must be written in full. */
  private short(context: Context, event: HotEvent, parts: Json[]): boolean {
    if (this.shorts >= SHORT_IN_A_ROW) return false;
    const before = context.timestamp;
    const value = continued(context, event);
    if (value === undefined) return false;
    this.shorts++;
    parts.push(event.timestamp - before, value);
    return true;
  }

  private full(event: HotEvent, next: number, count: number): number {
    const what = groupOf(event);
    if (this.group === -1 || what !== this.what) {
      this.endGroup();
      this.what = what;
      this.group = this.length;
    }
    this.line(`${this.envelope(event)}${next === count ? "" : ',"b":1'},"c":`, "}", true);
    this.seq = event.seq;
    // One with a cause, or at a time between two milliseconds, is no place to go on from: that costs nothing, and keeps the place simple.
    this.context = event.cause === undefined ? contextAfter(event) : undefined;
    this.shorts = 0;
    return next;
  }

  private envelope(event: Event): string {
    if (!Number.isFinite(event.timestamp)) throw new TypeError("a time that is no number");
    const run = event.runId === this.runId ? "" : `,"runId":${JSON.stringify(event.runId)}`;
    const cause = event.cause === undefined ? "" : `,"cause":${event.cause}`;
    const data = JSON.stringify(event.data);
    return `{"seq":${event.seq},"timestamp":${event.timestamp}${run},"type":"${event.type}","data":${data}${cause}`;
  }

  private line(text: string, close: "]" | "}", linked: boolean): void {
    // A group goes on in a new batch where the context does.
    if (close === "]" && this.group === -1) this.group = this.length;
    const start = this.length;
    // A UTF-16 unit is three bytes at most.
    const bytes = this.scratch.hold(start, start + text.length * 3 + 16);
    this.close(start, start + bytes.write(text, start), close === "]" ? CLOSE_ARRAY : CLOSE_OBJECT, linked);
  }

  /** Writes the CRC and the end of a line. */
  private close(start: number, end: number, bracket: number, linked: boolean): void {
    const { bytes } = this.scratch;
    const crc = crcOf(bytes, start, end, this.crc);
    if (linked) this.crc = crc;
    bytes[end] = QUOTE;
    putCrc(bytes, end + 1, crc);
    bytes[end + 9] = QUOTE;
    bytes[end + 10] = bracket;
    bytes[end + 11] = LINE_END;
    this.length = end + CRC_END;
  }

  private endGroup(): void {
    if (this.group === -1) return;
    this.chain.wholeGroup(this.what, this.scratch.bytes.subarray(this.group, this.length));
    this.group = -1;
  }
}

/** The record of a pruned range: it goes on from the line before the range, and the line behind it from the last one that was there. */
export function gapLine(
  { data, seq, timestamp }: Omit<EventOf<"gap">, "type" | "runId">,
  { open, before, last }: { readonly open: boolean; readonly before: number; readonly last: number },
): Buffer {
  const record = `{"seq":${seq},"timestamp":${timestamp},"type":"gap","data":${JSON.stringify(data)}`;
  const text = `${record}${open ? ',"b":1' : ""},"t":"${crcText(last)}","c":`;
  const crc = crcOf(Buffer.from(text), 0, text.length, before);
  return Buffer.from(`${text}"${crcText(crc)}"}\n`);
}

/** Bytes on their way to a file. One for all runs of a log: a write is synchronous. */
export class Scratch {
  bytes = Buffer.allocUnsafe(SCRATCH_BYTES);

  /** Makes room, and keeps the first `used` bytes. */
  hold(used: number, needed: number): Buffer {
    if (needed > this.bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.bytes.length * 2));
      this.bytes.copy(larger, 0, 0, used);
      this.bytes = larger;
    }
    return this.bytes;
  }

  /** One large event must not cost its room for ever. */
  shrink(): void {
    if (this.bytes.length > SCRATCH_BYTES * 16) this.bytes = Buffer.allocUnsafe(SCRATCH_BYTES);
  }
}
