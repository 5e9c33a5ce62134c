import type { Agent } from "../agent.ts";
import { checkKeys, checkOption, isDelay } from "../checks.ts";
import { systemClock, type Clock } from "../clock.ts";
import type { CommandVerb } from "./protocol.ts";

/** What a server needs of an agent. */
export type ServedAgent = Pick<
  Agent,
  "name" | "log" | "run" | "open" | "resume" | "fork" | "runs" | "metrics" | "close"
>;

/** What somebody asks for. A command is named by its verb. */
export type ServerAction =
  | "create"
  | "list"
  | "read"
  | "stream"
  | "ticket"
  | CommandVerb
  | "health"
  | "metrics"
  | "openapi";

export interface AuthorizeRequest {
  readonly action: ServerAction;
  /** Undefined where the request concerns no run of this server. */
  readonly runId: string | undefined;
  readonly agent: string | undefined;
}

/** Who the caller is, for the log (`by` of a command), or whether it may at all. */
export type Authorized = boolean | { readonly by: string };

/**
 * Decides about every request, every run that a list would show and every command of a socket, after the token was checked. What it throws is a
 * refusal that is reported to `onError`.
 */
export type Authorize = (request: Request, asked: AuthorizeRequest) => Authorized | Promise<Authorized>;

export interface ServerLimits {
  /** Of a request's body, bytes. Default 1 MiB. */
  readonly bodyBytes: number;
  /** Runs that work at once because of requests to this server. Default 100. */
  readonly runs: number;
  /** Streams and sockets open at once. Default 1,000. */
  readonly connections: number;
  /** The same on one run. Default 200. */
  readonly connectionsPerRun: number;
  /** Of one frame of a socket, bytes. Default 1 MiB. */
  readonly frameBytes: number;
  /** Commands of one socket that wait for their receipts at once, and as many subscriptions. Default 16. */
  readonly commandsPerSocket: number;
  /** What may wait for one client to read it, bytes. Default 1 MiB. One event that is larger still goes out. */
  readonly queueBytes: number;
}

const LIMITS: ServerLimits = {
  bodyBytes: 1_048_576,
  runs: 100,
  connections: 1_000,
  connectionsPerRun: 200,
  frameBytes: 1_048_576,
  commandsPerSocket: 16,
  queueBytes: 1_048_576,
};

export interface HandlerOptions {
  /** Whose runs are served. Runs of other agents in their logs do not exist here, unless `others` says so. */
  readonly agents: ServedAgent | readonly ServedAgent[];
  /**
   * Whether runs of other agents in the logs of these can be looked at too, and be told what the process that has them can do. Where none has them they
   * are read only: they go on where their agent is. Default false.
   */
  readonly others?: boolean;
  /** What every request has to carry (`Authorization: Bearer`), at least 16 visible ASCII characters. Default: none. */
  readonly token?: string | undefined;
  readonly authorize?: Authorize | undefined;
  /** Foreign origins whose pages may talk to the server, such as `https://app.example`. Default: none but its own. */
  readonly origins?: readonly string[];
  /**
   * Names that a request may be addressed to (`Host`), without a port. Default: `localhost`, `127.0.0.1`, `[::1]`, and the address that is
   * listened on; for a wildcard address every IP address.
   */
  readonly hosts?: readonly string[];
  readonly limits?: Partial<ServerLimits>;
  /** A sign of life on a silent stream, ms. A client that takes nothing for twice as long is let go. Default 15,000. */
  readonly heartbeatMs?: number;
  /** How long one stream or socket lives before its client has to come again, ms. Default an hour. */
  readonly maxConnectionMs?: number;
  /** How long a ticket opens streams, ms. Default an hour. */
  readonly ticketMs?: number;
  /** What stands before every path, such as `/api/agent`. Default nothing. */
  readonly basePath?: string;
  /**
   * Whether the visualizer is served at `/inspect`, and `/` leads there. Its files hold nothing of any run, so they come without the token; what it
   * shows it asks for as every client does. Default false.
   */
  readonly inspect?: boolean;
  /** The context that tools of a run get (`ctx.context`), from the request that starts it or commands it. */
  readonly context?:
    | ((request: Request, about: { readonly agent: string; readonly runId?: string }) => unknown)
    | undefined;
  /** Told what failed inside. What a caller is told then says nothing about it. */
  readonly onError?: ((error: unknown) => void) | undefined;
  readonly clock?: Clock;
}

export interface ServeOptions extends HandlerOptions {
  /** Default 8787; 0 takes a free one. */
  readonly port?: number | undefined;
  /** Default 127.0.0.1. Any other than a loopback address needs a token. */
  readonly host?: string | undefined;
  /** Whether `close()` closes the agents, which interrupts what they run. Default true. */
  readonly closeAgents?: boolean;
  /** How long `close()` waits for clients to read to their end, ms. Default 5,000. */
  readonly closeMs?: number;
}

export const HANDLER_KEYS = [
  "agents",
  "others",
  "token",
  "authorize",
  "origins",
  "hosts",
  "limits",
  "heartbeatMs",
  "maxConnectionMs",
  "ticketMs",
  "basePath",
  "inspect",
  "context",
  "onError",
  "clock",
] as const;
export const SERVE_KEYS = [...HANDLER_KEYS, "port", "host", "closeAgents", "closeMs"] as const;

/** The options with their defaults. */
export interface Settings {
  readonly agents: readonly ServedAgent[];
  readonly others: boolean;
  readonly token: string | undefined;
  readonly authorize: Authorize | undefined;
  readonly origins: ReadonlySet<string>;
  readonly hosts: ReadonlySet<string>;
  readonly limits: ServerLimits;
  readonly heartbeatMs: number;
  readonly maxConnectionMs: number;
  readonly ticketMs: number;
  readonly basePath: string;
  readonly inspect: boolean;
  readonly context: HandlerOptions["context"];
  readonly onError: (error: unknown) => void;
  readonly clock: Clock;
}

const LOOPBACK_HOSTS = ["localhost", "127.0.0.1", "[::1]"];

/** Throws {@link RubatoError} `invalid_option`, with what was received and what to do. */
export function settingsOf(options: HandlerOptions): Settings {
  const {
    agents: given,
    others = false,
    token,
    authorize,
    origins = [],
    hosts = LOOPBACK_HOSTS,
    limits = {},
    heartbeatMs = 15_000,
    maxConnectionMs = 3_600_000,
    ticketMs = 3_600_000,
    basePath = "",
    inspect = false,
    context,
    onError = () => {},
    clock = systemClock,
  } = options;
  const agents = "name" in given ? [given] : [...given];
  checkOption("agents", agents.length, agents.length > 0, "at least one agent");
  const names = agents.map(({ name }) => name);
  checkOption("agents", names, new Set(names).size === names.length, "agents of different names");
  // Not shown: whoever reads the message must not read the token.
  const isToken = token === undefined || (typeof token === "string" && /^[\x21-\x7e]{16,4096}$/.test(token));
  checkOption("token", "something else", isToken, "at least 16 visible ASCII characters");
  checkKeys("limits", limits, Object.keys(LIMITS));
  for (const [name, value] of Object.entries(limits)) {
    checkOption(`limits.${name}`, value, Number.isInteger(value) && value > 0, "a whole number from 1");
  }
  for (const [name, value] of Object.entries({ heartbeatMs, maxConnectionMs, ticketMs })) {
    checkOption(name, value, isDelay(value, 1), "milliseconds from 1 to 2147483647");
  }
  checkOption("inspect", inspect, typeof inspect === "boolean", "true or false");
  checkOption("basePath", basePath, /^(?:\/[\w.~-]+)*$/.test(basePath), "empty, or a path such as /api/agent");
  checkOption("others", others, typeof others === "boolean", "true or false");
  return {
    agents,
    others,
    token,
    authorize,
    origins: new Set(origins.map(originOf)),
    hosts: new Set(hosts.map(hostOf)),
    limits: { ...LIMITS, ...limits },
    heartbeatMs,
    maxConnectionMs,
    ticketMs,
    basePath,
    inspect,
    context,
    onError,
    clock,
  };
}

function originOf(text: string): string {
  const origin = URL.canParse(text) ? new URL(text).origin : "null";
  checkOption("origins", text, origin !== "null" && text !== "*", "origins such as https://app.example");
  return origin;
}

function hostOf(text: string): string {
  const ok = /^(?:\[[\da-f:.]+\]|[\w.-]+)$/i.test(text);
  checkOption("hosts", text, ok, "names or addresses without a port, an IPv6 address in brackets");
  return text.toLowerCase();
}
