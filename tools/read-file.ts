import type { FileHandle } from "node:fs/promises";
import { z } from "zod";
import { openInside } from "./root.ts";
import { decodeText } from "./text.ts";
import { defineTool } from "./tool.ts";

const kib = 1024;
/** Bytes of text that one answer carries. */
const maxReturned = 64 * kib;
/** Bytes of a file that are looked at to find a line. */
const maxScanned = 64 * kib * kib;
const newline = 0x0a;

/**
 * Tool `read_file`: lines of a UTF-8 text file inside `root`.
 *
 * Answers `{ path, text, from, lines, totalBytes, totalLines?, truncated?, next? }`. At most 64 KiB of text, cut at the end of a line where
 * there is one; then `truncated: true`, and `next` is the line to go on with. `totalLines` is left out when the file is longer than the
 * 64 MiB that are looked at.
 */
export function readFile(options: { readonly root: string }) {
  return defineTool({
    name: "read_file",
    description: "Reads a text file, at most 64 KiB at a time: go on with from = next. Lines are counted from 1.",
    input: z.object({
      path: z.string().min(1).max(4096).describe("The file, relative to the root"),
      from: z.int().min(1).default(1).describe("The first line, from 1"),
      lines: z.int().min(1).optional().describe("How many lines. Default: as many as fit"),
    }),
    idempotent: true,
    async execute({ path, from, lines }, { signal }) {
      const { place, handle } = await openInside(options.root, path);
      try {
        const slice = await readLines(handle, {
          first: from,
          last: from - 1 + (lines ?? Number.MAX_SAFE_INTEGER),
          signal,
        });
        if (from > 1 && slice.lines === 0) {
          throw new Error(
            slice.scannedAll
              ? `"${path}" has only ${slice.totalLines} lines. Ask for an earlier one.`
              : `Line ${from} of "${path}" lies beyond the first 64 MiB. Ask for an earlier one, or use search_text.`,
          );
        }
        return {
          path: place.name,
          text: decodeText(slice.bytes, path, { cut: slice.cut }),
          from,
          lines: slice.lines,
          totalBytes: place.stats.size,
          ...(slice.scannedAll ? { totalLines: slice.totalLines } : {}),
          ...(slice.cut ? { truncated: true, next: from + slice.lines } : {}),
        };
      } finally {
        await handle.close();
      }
    },
  });
}

interface Slice {
  readonly bytes: Uint8Array;
  /** Lines that `bytes` holds, a cut one included. */
  readonly lines: number;
  readonly totalLines: number;
  readonly scannedAll: boolean;
  /** True when `bytes` ends before the last line that was asked for. */
  readonly cut: boolean;
}

async function readLines(
  handle: FileHandle,
  wanted: { readonly first: number; readonly last: number; readonly signal: AbortSignal },
): Promise<Slice> {
  const chunk = Buffer.alloc(64 * kib);
  const kept: Buffer[] = [];
  let keptBytes = 0;
  let full = false;
  let line = 1;
  let scanned = 0;
  let last = newline;
  let scannedAll = false;
  while (scanned < maxScanned) {
    wanted.signal.throwIfAborted();
    const { bytesRead } = await handle.read(chunk, 0, chunk.length, null);
    if (bytesRead === 0) {
      scannedAll = true;
      break;
    }
    scanned += bytesRead;
    last = chunk[bytesRead - 1] ?? newline;
    for (let start = 0; start < bytesRead;) {
      const found = chunk.indexOf(newline, start);
      const ended = found >= 0 && found < bytesRead;
      const end = ended ? found + 1 : bytesRead;
      if (!full && line >= wanted.first && line <= wanted.last) {
        const room = maxReturned - keptBytes;
        full = end - start > room;
        kept.push(Buffer.from(chunk.subarray(start, Math.min(end, start + room))));
        keptBytes += Math.min(end - start, room);
      }
      if (ended) line++;
      start = end;
    }
  }
  const all = Buffer.concat(kept);
  const lastNewline = all.lastIndexOf(newline);
  const bytes = full && lastNewline >= 0 ? all.subarray(0, lastNewline + 1) : all;
  return {
    bytes,
    lines: countLines(bytes),
    totalLines: last === newline ? line - 1 : line,
    scannedAll,
    cut: full || (!scannedAll && line <= wanted.last),
  };
}

function countLines(bytes: Uint8Array): number {
  let count = 0;
  for (const byte of bytes) if (byte === newline) count++;
  return bytes.length > 0 && bytes.at(-1) !== newline ? count + 1 : count;
}
