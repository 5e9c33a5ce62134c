import type { Readable } from "node:stream";

/** The longest task that a pipe may hold, in bytes: more is a mistake, such as a pipe from a disk image. */
export const MAX_PIPED = 1_048_576;

/** All of a stream as text, or undefined when it is longer than {@link MAX_PIPED}. */
export async function readAll(stream: Readable): Promise<string | undefined> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of stream) {
    const bytes = Buffer.isBuffer(piece) ? piece : Buffer.from(String(piece));
    size += bytes.length;
    if (size > MAX_PIPED) return undefined;
    pieces.push(bytes);
  }
  return Buffer.concat(pieces).toString("utf8");
}
