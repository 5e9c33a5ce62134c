import type { IncomingMessage } from "node:http";
import { pipeline, type Readable } from "node:stream";
import { MIMEType, TextDecoder } from "node:util";
import { createBrotliDecompress, createUnzip } from "node:zlib";

/** Types beside text/*, +json and +xml that people read. */
const textTypes: ReadonlySet<string> = new Set(
  ["json", "xml", "javascript", "ecmascript", "x-javascript", "ndjson", "x-ndjson", "jsonl", "yaml", "x-yaml"]
    .concat(["toml", "sql", "graphql", "x-sh", "x-www-form-urlencoded"])
    .map((name) => `application/${name}`),
);

export function isTextType(type: MIMEType): boolean {
  return type.type === "text" || textTypes.has(type.essence) || /\+(?:json|xml|yaml)$/.test(type.subtype);
}

export function typeOf(response: IncomingMessage): MIMEType | undefined {
  try {
    return new MIMEType(response.headers["content-type"] ?? "");
  } catch {
    return undefined;
  }
}

export interface Body {
  readonly bytes: Buffer;
  /** True when there was more. */
  readonly cut: boolean;
}

/**
 * The body, unpacked, up to a number of bytes of what it unpacks to; the rest is not read.
 * @throws {Error} For a packing that is not known, and what the network or the unpacking says.
 */
export async function readBody(response: IncomingMessage, limit: number): Promise<Body> {
  const kept: Buffer[] = [];
  let size = 0;
  for await (const chunk of unpacked(response)) {
    if (!Buffer.isBuffer(chunk)) throw new TypeError("A body is bytes.");
    const piece = chunk.subarray(0, limit - size);
    kept.push(piece);
    size += piece.length;
    if (piece.length < chunk.length) return { bytes: Buffer.concat(kept), cut: true };
  }
  return { bytes: Buffer.concat(kept), cut: false };
}

function unpacked(response: IncomingMessage): Readable {
  const packing = (response.headers["content-encoding"] ?? "identity").trim().toLowerCase();
  switch (packing) {
    case "":
    case "identity":
      return response;
    case "gzip":
    case "x-gzip":
    case "deflate":
      return pipeline(response, createUnzip(), whoReadsKnows);
    case "br":
      return pipeline(response, createBrotliDecompress(), whoReadsKnows);
    default:
      throw new Error(`The answer is packed as "${packing}", which is not known here.`);
  }
}

/** What breaks one of them breaks the other, and with it the reading. */
function whoReadsKnows(): void {}

/** The text of a body: in the character set of its byte order mark, of its type, or of its own first lines; else UTF-8. What is none is replaced. */
export function decodeBody({ bytes, cut }: Body, type: MIMEType | undefined): string {
  const charset = markOf(bytes) ?? type?.params.get("charset") ?? declaredIn(bytes) ?? "utf-8";
  return decoderFor(charset).decode(bytes, { stream: cut });
}

function markOf(bytes: Buffer): string | undefined {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) return "utf-8";
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return "utf-16le";
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return "utf-16be";
  return undefined;
}

/** What HTML and XML say of themselves. */
function declaredIn(bytes: Buffer): string | undefined {
  const start = bytes.toString("latin1", 0, 1024);
  const declared =
    /^<\?xml[^>]{1,200}?encoding\s*=\s*["']([\w-]+)/.exec(start) ??
    /<meta[^>]{1,200}?charset\s*=\s*["']?([\w-]+)/i.exec(start);
  // It could be read: in sixteen bits it is not.
  return declared?.[1]?.toLowerCase().startsWith("utf-16") === true ? "utf-8" : declared?.[1];
}

function decoderFor(charset: string): TextDecoder {
  try {
    return new TextDecoder(charset);
  } catch {
    return new TextDecoder();
  }
}
