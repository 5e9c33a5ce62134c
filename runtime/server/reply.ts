import { gzipSync } from "node:zlib";
import { acceptsGzip } from "./gzip-stream.ts";
import type { Refusal } from "./refusal.ts";

/** Below it, compressing saves nothing. */
const WORTH_COMPRESSING = 1_024;

/** For every answer: nobody keeps it, guesses its type, shows it in a frame or loads it into a page of somebody else's. */
export const SAFE_HEADERS: Readonly<Record<string, string>> = {
  "Cache-Control": "no-store",
  Vary: "Accept-Encoding, Origin",
  "X-Content-Type-Options": "nosniff",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
  "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
};

export type Headers = Readonly<Record<string, string>>;

/** A request that was let in. */
export interface Asked {
  readonly request: Request;
  /** Of the path; empty where it names none. */
  readonly runId: string;
  /** Of the path, where it names one. */
  readonly agent?: string | undefined;
  /** Node's own response, where there is one. */
  readonly outgoing: unknown;
  /** For every answer to it. */
  readonly headers: Headers;
}

export function json(request: Request, value: unknown, status = 200, headers: Headers = {}): Response {
  return text(request, JSON.stringify(value), "application/json; charset=utf-8", status, headers);
}

export function text(request: Request, body: string, type: string, status = 200, headers: Headers = {}): Response {
  const all = { ...SAFE_HEADERS, "Content-Type": type, ...headers };
  const bytes = Buffer.from(body);
  if (bytes.length < WORTH_COMPRESSING || !acceptsGzip(request.headers.get("accept-encoding"))) {
    return new Response(bytes, { status, headers: all });
  }
  return new Response(gzipSync(bytes), { status, headers: { ...all, "Content-Encoding": "gzip" } });
}

export function refused(request: Request, { status, code, message, headers = {} }: Refusal): Response {
  return json(request, { error: { code, message } }, status, headers);
}
