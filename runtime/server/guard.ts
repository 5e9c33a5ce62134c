import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";
import type { Clock } from "../clock.ts";
import { TOKEN_PROTOCOL } from "./protocol.ts";
import { refuse, type Refusal } from "./refusal.ts";

/**
 * Who may talk to the server at all, before anything is done for a request.
 *
 * G1 The host a request is addressed to is one of ours: a page whose name was bound to our address sends its own (and an equal `Origin`).
 * G2 A page of a foreign origin, or of none (`null`), is refused, whatever it asks for.
 * G3 The token is compared in constant time, and on every route but those of the visualizer's own files, which hold nothing of any run. A ticket
 *    stands for it where a browser can send no header: it opens the events of one run for a while, and neither tells the token nor outlives this
 *    process.
 */
export interface Guard {
  /** Refused, or let in. `ticketRun`: the run whose events this request asks for, where a ticket may stand for the token. */
  admit(request: Request, ticketRun?: string): Refusal | undefined;
  /** The same without the token: for what is no secret and is asked for by a browser that has no token yet (the visualizer's own files). */
  admitPage(request: Request): Refusal | undefined;
  /** What a page of a foreign origin that was let in may see of the answer. */
  corsHeaders(request: Request): Readonly<Record<string, string>>;
  ticketFor(runId: string): { readonly ticket: string; readonly expiresAt: number };
}

export interface GuardOptions {
  readonly token: string | undefined;
  readonly hosts: ReadonlySet<string>;
  /** Every IP address is a host of ours: only a name can be bound to an address that is not its own. */
  readonly anyAddress: boolean;
  readonly origins: ReadonlySet<string>;
  readonly ticketMs: number;
  readonly clock: Pick<Clock, "now">;
}

const HOST = /^(\[[\da-f:.]+\]|[\w.-]+)(?::\d{1,5})?$/i;

export function createGuard({ token, hosts, anyAddress, origins, ticketMs, clock }: GuardOptions): Guard {
  const wanted = token === undefined ? undefined : digest(token);
  const secret = randomBytes(32);

  function knowsHost(host: string): boolean {
    const [, name = ""] = HOST.exec(host) ?? [];
    const lower = name.toLowerCase();
    return hosts.has(lower) || (anyAddress && isIP(lower.replace(/^\[|\]$/g, "")) > 0);
  }

  function hasToken(request: Request): boolean {
    if (wanted === undefined) return true;
    const said = bearerOf(request) ?? protocolTokenOf(request);
    // Compared also where nothing was said, so that both take as long.
    return timingSafeEqual(wanted, digest(said ?? "")) && said !== undefined;
  }

  function sign(runId: string, expiresAt: number): Buffer {
    return createHmac("sha256", secret).update(`${runId}\n${expiresAt}`).digest();
  }

  function isTicket(request: Request, runId: string): boolean {
    const [, expires = "", mac = ""] = /^(\d{1,15})\.([\w-]{43})$/.exec(ticketOf(request)) ?? [];
    if (mac === "" || Number(expires) <= clock.now()) return false;
    return timingSafeEqual(sign(runId, Number(expires)), Buffer.from(mac, "base64url"));
  }

  function admitPage(request: Request): Refusal | undefined {
    const url = new URL(request.url);
    const host = request.headers.get("host") ?? url.host;
    if (!knowsHost(host) || !knowsHost(url.host)) {
      return refuse(
        403,
        "forbidden_host",
        "This server does not answer to that host. Its option `hosts` names those it does.",
      );
    }
    const origin = request.headers.get("origin");
    if (origin !== null && !origins.has(origin) && !isSameOrigin(origin, host)) {
      return refuse(
        403,
        "forbidden_origin",
        "Pages of that origin may not talk to this server. Its option `origins` names those that may.",
      );
    }
    return undefined;
  }

  return {
    admitPage,
    admit(request, ticketRun) {
      const refusal = admitPage(request);
      if (refusal !== undefined) return refusal;
      if (hasToken(request) || (ticketRun !== undefined && isTicket(request, ticketRun))) return undefined;
      return refuse(401, "unauthorized", "This server needs its token: Authorization: Bearer TOKEN.", {
        "WWW-Authenticate": 'Bearer realm="rubato"',
      });
    },
    corsHeaders(request) {
      const origin = request.headers.get("origin");
      if (origin === null || !origins.has(origin)) return {};
      return {
        "Access-Control-Allow-Origin": origin,
        // Without it a browser hides every answer from a page that sends its cookies along.
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": "X-Run-Id, Location, Retry-After",
      };
    },
    ticketFor(runId) {
      const expiresAt = clock.now() + ticketMs;
      return { ticket: `${expiresAt}.${sign(runId, expiresAt).toString("base64url")}`, expiresAt };
    },
  };
}

const HEADER_NAMES = /^[\w!#$%&'*+.^`|~-]+(?:[ \t]*,[ \t]*[\w!#$%&'*+.^`|~-]+)*$/;

/**
 * What a foreign page is told before it sends what a form could not. A page of an origin that was named may send any header: `authorize` and `context`
 * read what a program of its own thinks of.
 */
export function preflightHeaders(request: Request): Readonly<Record<string, string>> {
  const asked = request.headers.get("access-control-request-headers") ?? "";
  const own = HEADER_NAMES.test(asked) ? `, ${asked}` : "";
  return {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": `Authorization, Content-Type, Last-Event-ID, X-Client-Id${own}`,
    "Access-Control-Max-Age": "600",
  };
}

/** The same length for every token: what differs in length is compared as long. */
function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function bearerOf(request: Request): string | undefined {
  return /^Bearer +(\S+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
}

/** A browser's socket can say nothing but subprotocols. Only of a socket: elsewhere that header is no credential. */
function protocolTokenOf(request: Request): string | undefined {
  if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") return undefined;
  const said = protocolsOf(request).find((protocol) => protocol.startsWith(TOKEN_PROTOCOL));
  return said === undefined ? undefined : Buffer.from(said.slice(TOKEN_PROTOCOL.length), "base64url").toString();
}

export function protocolsOf(request: Request): string[] {
  return (request.headers.get("sec-websocket-protocol") ?? "").split(",").map((protocol) => protocol.trim());
}

function ticketOf(request: Request): string {
  return new URL(request.url).searchParams.get("ticket") ?? "";
}

function isSameOrigin(origin: string, host: string): boolean {
  if (!URL.canParse(origin)) return false;
  const { protocol, host: from } = new URL(origin);
  // Both through the same parser, so that a default port is left out of both.
  return (
    /^https?:$/.test(protocol) && URL.canParse(`${protocol}//${host}`) && new URL(`${protocol}//${host}`).host === from
  );
}
