import { isRefusal, issueOf, refuse, type Refusal } from "./refusal.ts";
import type { z } from "zod";

/** JSON that a page of another origin cannot send without asking: a form sends text. */
const JSON_TYPE = /^application\/json *(?:; *charset="?utf-8"?)?$/i;

/** What the body of a request says, as the schema has it; or why not. Reads no more than the limit. */
export async function bodyOf<Schema extends z.ZodType>(
  request: Request,
  schema: Schema,
  maxBytes: number,
): Promise<z.output<Schema> | Refusal> {
  const json = await jsonOf(request, maxBytes);
  if (isRefusal(json)) return json;
  const parsed = schema.safeParse(json.value);
  return parsed.success ? parsed.data : refuse(400, "invalid_request", issueOf(parsed.error));
}

/** In an object of its own: a body may look like a refusal. */
export async function jsonOf(request: Request, maxBytes: number): Promise<{ readonly value: unknown } | Refusal> {
  if (!JSON_TYPE.test(request.headers.get("content-type") ?? "")) {
    return refuse(415, "unsupported_media_type", "The body must be JSON: Content-Type: application/json.");
  }
  let bytes: Uint8Array | undefined;
  try {
    bytes = await bytesOf(request, maxBytes);
  } catch {
    // Its client left in the middle: no failure of the server.
    return refuse(400, "invalid_request", "The body broke off.");
  }
  if (bytes === undefined) {
    return refuse(413, "too_large", `The body is longer than ${maxBytes} bytes.`, { Connection: "close" });
  }
  try {
    return { value: JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) };
  } catch {
    return refuse(400, "invalid_json", "The body is not JSON.");
  }
}

async function bytesOf(request: Request, maxBytes: number): Promise<Uint8Array | undefined> {
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) return undefined;
  const pieces: Uint8Array[] = [];
  let length = 0;
  if (request.body === null) return new Uint8Array();
  const reader = request.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return Buffer.concat(pieces);
    length += value.byteLength;
    if (length > maxBytes) {
      await reader.cancel();
      return undefined;
    }
    pieces.push(value);
  }
}
