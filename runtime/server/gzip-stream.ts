import { crc32 } from "node:zlib";

/** A gzip stream of blocks that somebody else compressed: its head, its checksum, its end. */
export class GzipStream {
  /** ID, deflate, no flags, no time, unknown system. */
  static readonly head: Buffer = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
  private crc = 0;
  private length = 0;

  /** Counts bytes whose block goes out. */
  take(bytes: Buffer): void {
    this.crc = crc32(bytes, this.crc);
    this.length = (this.length + bytes.length) % 2 ** 32;
  }

  /** An empty last block, the checksum and the length of all that was taken. */
  end(): Buffer {
    const tail = Buffer.alloc(10);
    tail[0] = 3;
    tail.writeUInt32LE(this.crc, 2);
    tail.writeUInt32LE(this.length, 6);
    return tail;
  }
}

/** Whether a client says that it reads gzip. */
export function acceptsGzip(header: string | null): boolean {
  for (const part of (header ?? "").toLowerCase().split(",")) {
    const [coding = "", ...parameters] = part.split(";").map((word) => word.trim());
    if (coding !== "gzip" && coding !== "*") continue;
    return !parameters.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter));
  }
  return false;
}
