import { closeSync, existsSync, fsyncSync, linkSync, openSync, readdirSync, rmSync, writeSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { SCHEMA_VERSION } from "../../../machines/events.ts";
import { hashOf } from "./chain.ts";
import { crcAt, crcOf, crcText } from "./crc.ts";
import { codeOf, FILE_MODE } from "./folder.ts";
import { isOwner, type Owner } from "./owner.ts";

/** The format of the files, beside the schema of the events in them. */
const FORMAT = 1;
const EMPTY_CHAIN = "0".repeat(32);

/** The first line of a segment. */
export interface Header {
  readonly run: string;
  readonly epoch: number;
  /** The schema of the events. */
  readonly schema: number;
  /** The last seq of the segment before it: what stands there behind that does not count. */
  readonly after: number;
  readonly owner: Owner;
  /** When it was made, ms. */
  readonly at: number;
  /** How the segment before it ends: its hash chain and the CRC of its last line. */
  readonly before: { readonly h: string; readonly c: string };
}

export const NOTHING_BEFORE: Header["before"] = { h: EMPTY_CHAIN, c: crcText(0) };

/** The line with its line end, and what the lines behind it go on from. */
export function headerLine(header: Omit<Header, "schema">): { line: string; crc: number; h: string } {
  const { run, epoch, after, owner, at, before } = header;
  const fields = { rubato: FORMAT, schema: SCHEMA_VERSION, run, epoch, after, owner, at, before };
  const body = `${JSON.stringify(fields).slice(0, -1)},"c":`;
  const bytes = Buffer.from(body);
  const crc = crcOf(bytes, 0, bytes.length, seedOf(before.c));
  return { line: `${body}"${crcText(crc)}"}\n`, crc, h: hashOf(body) };
}

/** What a first line says; a text when it is none, or one of a format that this version does not know. */
export function parseHeader(line: string): { header: Header; crc: number; h: string } | string {
  const body = line.slice(0, -11);
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return "it is no JSON";
  }
  if (typeof value === "object" && value !== null && "rubato" in value && value.rubato !== FORMAT) {
    return `its format is ${String(value.rubato)}, and this version of rubato reads ${FORMAT}`;
  }
  if (!isHeader(value)) return "it is no header";
  const bytes = Buffer.from(line);
  const crc = crcOf(bytes, 0, bytes.length - 11, seedOf(value.before.c));
  if (crcAt(bytes, bytes.length - 10) !== crc || !line.endsWith('"}')) return "its checksum is wrong";
  return { header: value, crc, h: hashOf(body) };
}

function seedOf(crc: string): number {
  return Math.max(0, crcAt(Buffer.from(crc), 0));
}

function isHeader(value: unknown): value is Header {
  return (
    typeof value === "object" &&
    value !== null &&
    "run" in value &&
    typeof value.run === "string" &&
    "epoch" in value &&
    typeof value.epoch === "number" &&
    "schema" in value &&
    typeof value.schema === "number" &&
    "after" in value &&
    typeof value.after === "number" &&
    "at" in value &&
    typeof value.at === "number" &&
    "owner" in value &&
    isOwner(value.owner) &&
    "before" in value &&
    typeof value.before === "object" &&
    value.before !== null &&
    "h" in value.before &&
    typeof value.before.h === "string" &&
    "c" in value.before &&
    typeof value.before.c === "string"
  );
}

export function segmentName(epoch: number): string {
  return `${String(epoch).padStart(6, "0")}.jsonl`;
}

/** The mark of a claim: it is made before the segment, and stays. */
export function claimName(epoch: number): string {
  return `${String(epoch).padStart(6, "0")}.claim`;
}

/** What a run's folder holds, by epoch, oldest first. */
export interface Contents {
  readonly segments: readonly number[];
  /** Of the newest claim; 0 where there is none. */
  readonly claim: number;
}

/** Empty for a folder that is not there. */
export function contentsOf(folder: string): Contents {
  const segments: number[] = [];
  let claim = 0;
  for (const name of namesIn(folder)) {
    const epoch = Number.parseInt(name, 10);
    if (name.endsWith(".jsonl") && segmentName(epoch) === name) segments.push(epoch);
    if (name.endsWith(".claim") && claimName(epoch) === name) claim = Math.max(claim, epoch);
  }
  return { segments: segments.sort((a, b) => a - b), claim };
}

export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return [];
    throw error;
  }
}

/**
 * Makes a file that is there completely or not at all, and never twice: false when there is one of this name. It is on the disk when this
 * answers.
 */
export function createWhole(folder: string, name: string, text: string): boolean {
  const temporary = join(folder, `.tmp-${randomUUID()}`);
  try {
    writeWhole(temporary, text);
    linkSync(temporary, join(folder, name));
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(temporary, { force: true });
  }
  syncFolder(folder);
  return true;
}

/** A new file on the disk, with all of the text. */
export function writeWhole(path: string, text: string): void {
  const fd = openSync(path, "wx", FILE_MODE);
  try {
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length;) {
      const count = writeSync(fd, bytes, at, bytes.length - at);
      if (count === 0) throw Object.assign(new Error("no space left"), { code: "ENOSPC" });
      at += count;
    }
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** What was made, renamed or removed in a folder is on the disk afterwards. Where a folder cannot be opened (Windows) the system sees to it. */
export function syncFolder(folder: string): void {
  let fd: number;
  try {
    fd = openSync(folder, "r");
  } catch {
    return;
  }
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

export function isThere(folder: string, name: string): boolean {
  return existsSync(join(folder, name));
}
