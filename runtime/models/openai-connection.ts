import { channel } from "node:diagnostics_channel";
import { isRecord } from "../is-record.ts";

/**
 * Tells when a request begins to connect and when it has its connection. `fetch` itself does not say: it answers when the headers come. undici, also
 * the one inside Node, tells it to whoever listens on diagnostics channels.
 *
 * C1 A request is recognised by a header of its own. One that undici never tells of, of a `fetch` of another make, is never said to connect.
 * C2 The channels are listened to only while one of our requests may still connect, and not for one that finds a connection left by another: to
 *    begin and end listening makes the engine throw away compiled code of undici's, which costs a request many times what the listening does.
 * C3 Nothing is unsubscribed while a channel calls its listeners: that would make it skip one of somebody else's.
 */

/** OpenAI keeps it with the request, for tracing. */
export const REQUEST_ID_HEADER = "x-client-request-id";

export interface ConnectionWatch {
  /** Undefined where nobody tells. */
  readonly state: "connecting" | "connected" | undefined;
  /** The request is over, or its headers have come. */
  leave(): void;
}

/** Watches the request that carries this id, from before it is made. */
export function watchConnection(
  id: string,
  { onConnecting, onConnected }: { readonly onConnecting: () => void; readonly onConnected: () => void },
): ConnectionWatch {
  return new Watch(id, onConnecting, onConnected);
}

/** What a request is watched by that finds a connection: nobody. */
export const UNWATCHED: ConnectionWatch = { state: undefined, leave() {} };

/** How long a connection is kept for the next request, ms: somewhat less than undici and most servers do. */
const KEPT_MS = 3_000;

/** The connections that requests to one endpoint have left behind, as far as one can know. To be wrong costs a clearer error, no more. */
export class FreeConnections {
  private free = 0;
  private leftAt = 0;

  /** Whether a request that begins now finds one. */
  take(): boolean {
    if (performance.now() - this.leftAt > KEPT_MS) this.free = 0;
    if (this.free === 0) return false;
    this.free--;
    return true;
  }

  /** A request has read its answer to the end. */
  give(): void {
    this.free++;
    this.leftAt = performance.now();
  }
}

const created = channel("undici:request:create");
const headersSent = channel("undici:client:sendHeaders");
/** Older versions do not tell of the headers over HTTP/2. */
const bodySent = channel("undici:request:bodySent");

/** Requests that may still connect: by their id before undici has made them, then by what it made. */
const expected = new Map<string, Watch>();
const connecting = new Map<object, Watch>();

class Watch implements ConnectionWatch {
  state: ConnectionWatch["state"];
  private request: object | undefined;
  private readonly id: string;
  private readonly onConnecting: () => void;
  private readonly onConnected: () => void;

  constructor(id: string, onConnecting: () => void, onConnected: () => void) {
    this.id = id;
    this.onConnecting = onConnecting;
    this.onConnected = onConnected;
    if (expected.size === 0) created.subscribe(onCreated);
    expected.set(id, this);
  }

  begin(request: object): void {
    // Made anew, by a dispatcher that tries again: what counts is the last one.
    if (this.request !== undefined) connecting.delete(this.request);
    else if (connecting.size === 0) {
      headersSent.subscribe(onSent);
      bodySent.subscribe(onSent);
    }
    this.request = request;
    connecting.set(request, this);
    if (this.state !== undefined) return;
    this.state = "connecting";
    this.onConnecting();
  }

  connect(): void {
    if (this.state === "connected") return;
    this.state = "connected";
    this.onConnected();
    // C3.
    queueMicrotask(() => {
      this.leave();
    });
  }

  leave(): void {
    if (expected.get(this.id) === this) {
      expected.delete(this.id);
      if (expected.size === 0) created.unsubscribe(onCreated);
    }
    if (this.request !== undefined && connecting.delete(this.request) && connecting.size === 0) {
      headersSent.unsubscribe(onSent);
      bodySent.unsubscribe(onSent);
    }
  }
}

function onCreated(message: unknown): void {
  const request = requestIn(message);
  const id = request === undefined ? undefined : idIn(request["headers"]);
  if (request !== undefined && id !== undefined) expected.get(id)?.begin(request);
}

function onSent(message: unknown): void {
  const request = requestIn(message);
  if (request !== undefined) connecting.get(request)?.connect();
}

function requestIn(message: unknown): Record<string, unknown> | undefined {
  const request = isRecord(message) ? message["request"] : undefined;
  return isRecord(request) ? request : undefined;
}

/** Names and values in turn; one text in older versions. */
function idIn(headers: unknown): string | undefined {
  if (typeof headers === "string") return /^x-client-request-id: (.*)$/im.exec(headers)?.[1]?.trim();
  if (!Array.isArray(headers)) return undefined;
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name: unknown = headers[at];
    const value: unknown = headers[at + 1];
    if (typeof name === "string" && name.toLowerCase() === REQUEST_ID_HEADER)
      return typeof value === "string" ? value : undefined;
  }
  return undefined;
}
