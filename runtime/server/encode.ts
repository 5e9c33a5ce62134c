import { deflateRawSync, constants } from "node:zlib";
import type { Event } from "../../machines/events.ts";

/** How events travel. */
export type Format = "sse" | "ndjson" | "socket";

/** Events as bytes, made once for all who read them. */
export interface Chunk {
  /** The cursor behind it: also of events that the filter left out. */
  readonly to: number;
  /** Events in it. */
  readonly count: number;
  readonly bytes: Buffer;
  /** The run was cancelled in it: nothing but notes comes after. */
  readonly cancelled: boolean;
  /** The same as one flushed block of a deflate stream, made when somebody wants it. */
  deflated(): Buffer;
}

/** Text is cut here, so that no client is handed more at once unless one event alone is larger. */
export const CHUNK_CHARS = 65_536;
/** Below it, compressing costs more than it saves. */
const WORTH_DEFLATING = 1_024;

/** Encodes events from the first on, until the chunk is large enough. */
export function encode(events: readonly Event[], format: Format, wanted: ReadonlySet<string> | undefined): Chunk {
  let text = "";
  let count = 0;
  let to = 0;
  let cancelled = false;
  for (const event of events) {
    to = event.seq;
    if (event.type === "cancelled") cancelled = true;
    if (wanted !== undefined && !wanted.has(event.type)) continue;
    const json = JSON.stringify(event);
    if (format === "sse") text += `id: ${event.seq}\nevent: ${event.type}\ndata: ${json}\n\n`;
    else if (format === "ndjson") text += `${json}\n`;
    else text += count === 0 ? `{"type":"events","events":[${json}` : `,${json}`;
    count++;
    if (text.length >= CHUNK_CHARS) break;
  }
  if (format === "socket" && count > 0) text += "]}";
  return chunkOf(to, count, text, cancelled);
}

export function chunkOf(to: number, count: number, text: string, cancelled: boolean): Chunk {
  return new EncodedChunk(to, count, Buffer.from(text), cancelled);
}

class EncodedChunk implements Chunk {
  readonly to: number;
  readonly count: number;
  readonly bytes: Buffer;
  readonly cancelled: boolean;
  private block: Buffer | undefined;

  constructor(to: number, count: number, bytes: Buffer, cancelled: boolean) {
    this.to = to;
    this.count = count;
    this.bytes = bytes;
    this.cancelled = cancelled;
  }

  deflated(): Buffer {
    this.block ??= deflateBlock(this.bytes);
    return this.block;
  }
}

/**
 * Bytes as blocks of a deflate stream that refer to nothing before them and end at a byte: any number of them make one stream. So what many read is
 * compressed once, and a compressed stream that is silent holds no compressor (which is a quarter of a megabyte).
 */
export function deflateBlock(bytes: Buffer): Buffer {
  if (bytes.length >= WORTH_DEFLATING) return deflateRawSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH });
  // A stored block: not the last one, its length, the complement of that, the bytes.
  const block = Buffer.allocUnsafe(5 + bytes.length);
  block[0] = 0;
  block.writeUInt16LE(bytes.length, 1);
  block.writeUInt16LE(bytes.length ^ 0xffff, 3);
  bytes.copy(block, 5);
  return block;
}
