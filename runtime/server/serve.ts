import { createServer, STATUS_CODES, type IncomingMessage } from "node:http";
import { isIP, type AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { getRequestListener } from "@hono/node-server";
import { WebSocketServer } from "ws";
import { checkKeys, checkOption, isDelay } from "../checks.ts";
import { messageOf, RubatoError } from "../errors.ts";
import { createApp } from "./app.ts";
import { Core, shuttingDown } from "./core.ts";
import { wantedOf } from "./cursor.ts";
import { protocolsOf } from "./guard.ts";
import { HANDLER_KEYS, SERVE_KEYS, settingsOf, type HandlerOptions, type ServeOptions } from "./options.ts";
import { PROTOCOL } from "./protocol.ts";
import { isRefusal, refusalOf, refuse, type Refusal } from "./refusal.ts";
import { refused } from "./reply.ts";
import { isCancelled } from "./served-runs.ts";
import { openSocket } from "./socket.ts";
import { clientOf } from "./stream.ts";

/** A server that listens. */
export interface RubatoServer {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /**
   * Refuses what is new, closes the agents (what they run is interrupted, gets its grace, and can be resumed), gives every stream what there is and
   * ends it: its client resumes from the last seq that came. A client that does not read to its end within `closeMs` is cut.
   */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A handler that is mounted elsewhere. Sockets need {@link serve}. */
export interface ServerHandler {
  (request: Request): Promise<Response>;
  /** Refuses what is new, and ends the streams when they have what there is. The agents are left as they are. */
  close(): Promise<void>;
}

/** Answers requests of runs of these agents. Throws {@link RubatoError} `invalid_option`. */
export function createHandler(options: HandlerOptions): ServerHandler {
  checkKeys("createHandler", options, HANDLER_KEYS);
  const core = new Core(settingsOf(options), false);
  const app = createApp(core);
  return Object.assign(async (request: Request) => app.fetch(request), {
    async close() {
      core.closing = true;
      await core.connections.finish("shutdown");
    },
  });
}

/** Listens. Rejects with {@link RubatoError} `invalid_option` where it must not, and where it cannot. */
export async function serve(options: ServeOptions): Promise<RubatoServer> {
  checkKeys("serve", options, SERVE_KEYS);
  const { port = 8787, host = "127.0.0.1", closeAgents = true, closeMs = 5_000 } = options;
  checkOption("port", port, Number.isInteger(port) && port >= 0 && port <= 65_535, "a whole number from 0 to 65535");
  checkOption("host", host, /^[\w.:-]+$/.test(host), "an address or a name");
  checkOption("closeMs", closeMs, isDelay(closeMs, 0), "milliseconds from 0 to 2147483647");
  if (options.token === undefined && !isLoopback(host)) throw needsToken(host);
  const settings = settingsOf(options);
  const ours = hostName(host);
  const anyAddress = options.hosts === undefined && (host === "0.0.0.0" || host === "::");
  const hosts = options.hosts === undefined ? new Set([...settings.hosts, ours]) : settings.hosts;
  const core = new Core({ ...settings, hosts }, anyAddress);
  const app = createApp(core);

  const listener = getRequestListener((request, env) => app.fetch(request, env), {
    overrideGlobalObjects: false,
    // What is no request at all: a malformed target, a host that cannot be one.
    errorHandler: () => refused(new Request("http://localhost"), refuse(400, "invalid_request", "This is no request.")),
  });
  const hangUp = (): void => {
    // A line that becomes idle during a shutdown is not waited for.
    if (core.closing) setImmediate(() => server.closeIdleConnections());
  };
  const server = createServer((incoming, outgoing) => {
    outgoing.on("close", hangUp);
    core.tasks.adopt("a request", listener(incoming, outgoing));
  });
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: settings.limits.frameBytes,
    // A compressor per socket is most of what a silent one would cost.
    perMessageDeflate: false,
    handleProtocols: (protocols) => (protocols.has(PROTOCOL) ? PROTOCOL : false),
  });
  server.on("upgrade", (incoming, socket, head) => {
    // Until ws has it, nobody else listens for what goes wrong with it.
    const ignore = (): void => {};
    socket.on("error", ignore);
    core.tasks.adopt(
      "an upgrade",
      upgrade(core, sockets, incoming, socket, head).then((refusal) => {
        socket.off("error", ignore);
        if (refusal === undefined) return;
        socket.on("error", ignore);
        core.metrics.request("/runs/:id/socket", refusal.status);
        return answerUpgrade(socket, refusal);
      }),
    );
  });

  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => {
      const message = `Cannot listen on ${host} port ${port}: ${messageOf(error)}. Choose another port or address.`;
      reject(new RubatoError("invalid_option", message, { cause: error }));
    });
    server.listen(port, host, resolve);
  });
  const address = addressOf(server.address());
  if (options.token === undefined && !isLoopback(address.address)) {
    // A name that is bound to another address than it says.
    server.close();
    throw needsToken(address.address);
  }

  let closing: Promise<void> | undefined;
  async function close(): Promise<void> {
    core.closing = true;
    const closed = new Promise<void>((resolve) => {
      server.close(() => {
        resolve();
      });
    });
    server.closeIdleConnections();
    // Their clients see how it ends: streams stay open until the agents are at rest.
    if (closeAgents) await Promise.all(settings.agents.map((agent) => agent.close()));
    let cut = (): void => {};
    const tooLate = new Promise<void>((resolve) => {
      cut = settings.clock.timer(closeMs, resolve);
    });
    await Promise.race([core.connections.finish("shutdown"), tooLate]);
    core.connections.destroy();
    server.closeIdleConnections();
    await Promise.race([closed, tooLate]);
    cut();
    for (const socket of sockets.clients) socket.terminate();
    server.closeAllConnections();
    await closed;
    await core.tasks.idle();
  }
  const closeOnce = (): Promise<void> => (closing ??= close());

  return {
    url: `http://${ours === "0.0.0.0" || ours === "[::]" ? "localhost" : ours}:${address.port}${settings.basePath}`,
    host,
    port: address.port,
    close: closeOnce,
    [Symbol.asyncDispose]: closeOnce,
  };
}

/** Checks an upgrade as every request, and opens the socket. Answers why not. */
async function upgrade(
  core: Core,
  sockets: WebSocketServer,
  incoming: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<Refusal | undefined> {
  try {
    const request = requestOf(incoming);
    if (isRefusal(request)) return request;
    const refusal = core.guard.admit(request);
    if (refusal !== undefined) return refusal;
    const { basePath } = core.settings;
    const path = new URL(request.url).pathname;
    const [, id] = (path.startsWith(basePath) && /^\/runs\/([^/]+)\/socket$/.exec(path.slice(basePath.length))) || [];
    if (id === undefined) return refuse(404, "not_found", "There is no socket here. See GET /openapi.json.");
    if (core.closing) return shuttingDown();
    const found = await core.runFor(request, "stream", id);
    if (isRefusal(found)) return found;
    const { served } = found;
    const wanted = wantedOf(request, id, served.head.seq);
    if (isRefusal(wanted)) return wanted;
    const cancelled = await isCancelled(served.log, id, served.head.seq);
    const client = clientOf(request);
    const full = core.closing
      ? shuttingDown()
      : core.connections.refusal({ kind: "socket", runId: served.runId, client });
    if (full !== undefined) return full;
    if (protocolsOf(request).join("") !== "" && !protocolsOf(request).includes(PROTOCOL)) {
      return refuse(400, "invalid_request", `The subprotocol is ${PROTOCOL}.`);
    }
    if (socket.destroyed) return undefined;
    sockets.handleUpgrade(incoming, socket, head, (open) => {
      core.metrics.request("/runs/:id/socket", 101);
      openSocket({ core, socket: open, request, served, wanted, cancelled, client });
    });
    return undefined;
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal.status >= 500) core.report(error);
    return refusal;
  }
}

function requestOf(incoming: IncomingMessage): Request | Refusal {
  const { host = "" } = incoming.headers;
  const target = incoming.url ?? "/";
  if (!target.startsWith("/") || !URL.canParse(`http://${host}${target}`)) {
    return refuse(400, "invalid_request", "This is no request.");
  }
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(", ") : value);
  }
  return new Request(`http://${host}${target}`, { headers });
}

/** The same JSON as everywhere, which a browser does not show and a program reads. */
async function answerUpgrade(socket: Duplex, refusal: Refusal): Promise<void> {
  if (socket.destroyed) return;
  const response = refused(new Request("http://localhost"), refusal);
  const body = await response.text();
  const head = [`HTTP/1.1 ${response.status} ${STATUS_CODES[response.status] ?? ""}`];
  for (const [name, value] of response.headers) head.push(`${name}: ${value}`);
  head.push("Connection: close", `Content-Length: ${Buffer.byteLength(body)}`);
  // A server's sockets stay half open until the peer ends its half, and nobody else closes one that was an upgrade: it would hold its place for as long
  // as the peer likes, and a shutdown would wait for it.
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`, () => socket.destroy());
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

function needsToken(host: string): RubatoError {
  return new RubatoError(
    "invalid_option",
    `Listening on ${host} lets others in, so it needs a token: serve({ token }), or listen on 127.0.0.1.`,
  );
}

function hostName(host: string): string {
  return host.includes(":") ? `[${host}]` : host.toLowerCase();
}

function addressOf(address: AddressInfo | string | null): AddressInfo {
  if (typeof address === "object" && address !== null) return address;
  throw new RubatoError("internal", "A server that listens has an address.");
}
