import { crc32 as native } from "node:zlib";

const TABLE = Int32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});
/** Above this many bytes a call into zlib pays. */
const SHORT = 96;

/** CRC-32 of a range of bytes, going on from an earlier one. Unsigned. */
export function crcOf(bytes: Uint8Array, start: number, end: number, seed: number): number {
  if (end - start > SHORT) return native(bytes.subarray(start, end), seed);
  let crc = ~seed;
  for (let at = start; at < end; at++) crc = (TABLE[(crc ^ (bytes[at] ?? 0)) & 0xff] ?? 0) ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** As it stands in a line: 8 hex digits. */
export function crcText(crc: number): string {
  return crc.toString(16).padStart(8, "0");
}

/** Writes its 8 hex digits. */
export function putCrc(bytes: Uint8Array, start: number, crc: number): void {
  for (let at = 0, shift = 28; at < 8; at++, shift -= 4) {
    const digit = (crc >>> shift) & 15;
    bytes[start + at] = digit < 10 ? 48 + digit : 87 + digit;
  }
}

/** What 8 hex digits say; -1 for anything else. Capitals are no digits: a flipped bit makes them. */
export function crcAt(bytes: Uint8Array, start: number): number {
  let value = 0;
  for (let at = start; at < start + 8; at++) {
    const byte = bytes[at] ?? 0;
    const digit = byte >= 48 && byte <= 57 ? byte - 48 : byte >= 97 && byte <= 102 ? byte - 87 : -1;
    if (digit === -1) return -1;
    value = value * 16 + digit;
  }
  return value;
}
