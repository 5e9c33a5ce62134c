import { checkKeys, checkOption, isDelay } from "../checks.ts";
import { systemClock, type Clock } from "../clock.ts";
import { RubatoError } from "../errors.ts";
import { TOKEN_PROTOCOL } from "../server/protocol.ts";
import type { Reconnect } from "./backoff.ts";
import { secretsOf, type Secrets } from "./failure.ts";
import { newId } from "./ids.ts";

/** What the client needs of a WebSocket: the browser's, node's (from 22), and the one of the package `ws`. */
export interface ClientSocket {
  send(data: string): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: "open" | "error", listener: () => void): void;
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: "close", listener: (event: { readonly code: number }) => void): void;
}
export type ClientSocketConstructor = new (url: string, protocols?: string[]) => ClientSocket;

export interface QueueLimits {
  /** Events that wait for a loop which reads. Default 1,000. */
  readonly events: number;
  /** About what they may take in memory, bytes. Default 1 MiB. */
  readonly bytes: number;
}

export interface ClientOptions {
  /**
   * Of the server with its base path, such as `https://app.example/api/agent`; in a page also relative to it. Its own address: a redirect is an error, as
   * nothing is sent on to where it points.
   */
  readonly url: string;
  /** What the server wants of every request (`Authorization: Bearer`). */
  readonly token?: string | undefined;
  /** Of every request. A socket cannot carry them. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Whether cookies go along, as `fetch` has it. Default: as `fetch` does. */
  readonly credentials?: "omit" | "same-origin" | "include" | undefined;
  readonly fetch?: typeof globalThis.fetch | undefined;
  /** Node 20 has none of its own: pass the one of the package `ws`. Default: the global one, where there is one. */
  readonly WebSocket?: ClientSocketConstructor | undefined;
  /**
   * How events come. `auto` (default): SSE over `fetch`; a socket where responses cannot be read piece by piece. `websocket`: a socket, which carries
   * the commands too; SSE where there is none or it cannot be opened. `sse`: nothing else.
   */
  readonly transport?: "auto" | "sse" | "websocket";
  readonly reconnect?: Partial<Reconnect>;
  /** What may wait for one loop to read it. Then reading stops, and the server waits. */
  readonly queue?: Partial<QueueLimits>;
  /** How long a connection may take to be answered, ms. Default 10,000. */
  readonly connectMs?: number;
  /** The server's own `heartbeatMs`: a line that is silent for twice as long is dead. Default 15,000. */
  readonly heartbeatMs?: number;
  /** How long a command waits for its receipt, ms; an interrupt and a cancel are answered when they are effective. Default 120,000. */
  readonly commandMs?: number;
  readonly clock?: Clock;
  /** From 0 up to 1, for the jitter. Default `Math.random`. */
  readonly random?: () => number;
  /**
   * A name that outlives this object, such as a tab's, 1 to 64 characters: a newer stream of it on the same run ends the older one, whose run then fails
   * with `superseded`. Default: every stream has a name of its own, which lives as long as it does.
   */
  readonly clientId?: string | undefined;
  /** Told what a listener threw. It touches nobody else. */
  readonly onError?: ((error: unknown) => void) | undefined;
}

const KEYS = [
  "url",
  "token",
  "headers",
  "credentials",
  "fetch",
  "WebSocket",
  "transport",
  "reconnect",
  "queue",
  "connectMs",
  "heartbeatMs",
  "commandMs",
  "clock",
  "random",
  "clientId",
  "onError",
];

/** The options with their defaults. */
export interface Settings {
  readonly url: string;
  readonly token: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly credentials: ClientOptions["credentials"];
  readonly fetch: typeof globalThis.fetch;
  readonly socket: ClientSocketConstructor | undefined;
  readonly transport: "auto" | "sse" | "websocket";
  readonly reconnect: Reconnect;
  readonly queue: QueueLimits;
  readonly connectMs: number;
  readonly heartbeatMs: number;
  readonly commandMs: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly clientId: string | undefined;
  readonly onError: (error: unknown) => void;
  readonly secrets: Secrets;
}

/** Throws {@link RubatoError} `invalid_option`, with what was received and what to do. What may be secret is not shown. */
export function settingsOf(options: ClientOptions): Settings {
  checkKeys("createClient", options, KEYS);
  const {
    token,
    headers = {},
    credentials,
    // Called as a function of its own: a browser's fetch refuses any other `this`.
    fetch = (input, init) => globalThis.fetch(input, init),
    WebSocket: socket = globalSocket(),
    transport = "auto",
    connectMs = 10_000,
    heartbeatMs = 15_000,
    commandMs = 120_000,
    clock = systemClock,
    random = Math.random,
    clientId,
    onError = () => {},
  } = options;
  const reconnect = { attempts: 5, minMs: 1_000, maxMs: 30_000, ...options.reconnect };
  const queue = { events: 1_000, bytes: 1_048_576, ...options.queue };
  const isToken = token === undefined || (typeof token === "string" && /^[\x21-\x7e]{1,4096}$/.test(token));
  checkOption("token", "something else", isToken, "1 to 4,096 visible ASCII characters");
  checkHeaders(headers);
  checkOption("transport", transport, ["auto", "sse", "websocket"].includes(transport), "auto, sse or websocket");
  checkKeys("reconnect", reconnect, ["attempts", "minMs", "maxMs"]);
  const { attempts, minMs, maxMs } = reconnect;
  checkOption("reconnect.attempts", attempts, Number.isInteger(attempts) && attempts >= 0, "a whole number from 0");
  checkOption("reconnect.minMs", minMs, isDelay(minMs, 0), "milliseconds from 0 to 2147483647");
  checkOption("reconnect.maxMs", maxMs, isDelay(maxMs, minMs), "milliseconds from minMs to 2147483647");
  checkKeys("queue", queue, ["events", "bytes"]);
  for (const [name, value] of Object.entries(queue)) {
    checkOption(`queue.${name}`, value, Number.isInteger(value) && value > 0, "a whole number from 1");
  }
  for (const [name, value] of Object.entries({ connectMs, heartbeatMs, commandMs })) {
    checkOption(name, value, isDelay(value, 1), "milliseconds from 1 to 2147483647");
  }
  const isName = clientId === undefined || /^[\w.-]{1,64}$/.test(clientId);
  checkOption("clientId", clientId, isName, "1 to 64 characters of A-Z a-z 0-9 . _ -");
  return {
    url: urlOf(options.url),
    token,
    headers,
    credentials,
    fetch,
    socket,
    transport,
    reconnect,
    queue,
    connectMs,
    heartbeatMs,
    commandMs,
    clock,
    random,
    clientId,
    onError,
    secrets: secretsOf([
      ...(token === undefined ? [] : [token, base64url(token)]),
      ...Object.values(headers),
      ...Object.values(headers).flatMap((value) => value.split(/[\s;,=]+/)),
    ]),
  };
}

/** Where a socket's token stands: a browser lets it say nothing else. */
export function socketProtocols({ token }: Settings, protocol: string): string[] {
  return token === undefined ? [protocol] : [protocol, `${TOKEN_PROTOCOL}${base64url(token)}`];
}

function base64url(ascii: string): string {
  return btoa(ascii).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

export function streamName({ clientId }: Settings, isMain: boolean): string {
  if (clientId === undefined) return newId("client");
  return isMain ? clientId : `${clientId}.${newId("reader")}`;
}

function urlOf(url: unknown): string {
  const here: unknown = Reflect.get(globalThis, "location");
  const base =
    typeof here === "object" && here !== null && "href" in here && typeof here.href === "string"
      ? here.href
      : undefined;
  if (typeof url !== "string" || !URL.canParse(url, base)) {
    throw new RubatoError(
      "invalid_option",
      'Option "url" must be the address of a server, such as http://localhost:8787.',
    );
  }
  const parsed = new URL(url, base);
  const plain = parsed.username === "" && parsed.password === "" && parsed.search === "" && parsed.hash === "";
  if (!/^https?:$/.test(parsed.protocol) || !plain) {
    throw new RubatoError(
      "invalid_option",
      'Option "url" must be http or https, without a name, a password, a query or a fragment: a token goes into `token`.',
    );
  }
  return parsed.href.replace(/\/+$/, "");
}

function checkHeaders(headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) {
    try {
      new Headers().append(name, value);
    } catch {
      // Its own message would show the value.
      throw new RubatoError("invalid_option", "One of `headers` has a name or a value that no header can have.");
    }
  }
}

function globalSocket(): ClientSocketConstructor | undefined {
  const found: unknown = Reflect.get(globalThis, "WebSocket");
  return isConstructor(found) ? found : undefined;
}

function isConstructor(value: unknown): value is ClientSocketConstructor {
  return typeof value === "function";
}
