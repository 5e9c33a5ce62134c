import { Hono, type Context } from "hono";
import { z } from "zod";
import { stateAt } from "../state-at.ts";
import { agui } from "./agui/endpoint.ts";
import { bodyOf, jsonOf } from "./body.ts";
import { beginRun, callerIn } from "./begin-run.ts";
import { performFor } from "./perform-for.ts";
import { shuttingDown, type Core } from "./core.ts";
import { addPage } from "./page.ts";
import { wantedOf, type Wanted } from "./cursor.ts";
import { preflightHeaders } from "./guard.ts";
import type { Moment } from "./metrics.ts";
import { openApi } from "./openapi.ts";
import { startSchema } from "./protocol.ts";
import { isRefusal, refusalOf, refuse, type Refusal } from "./refusal.ts";
import { json, refused, SAFE_HEADERS, text, type Asked, type Headers } from "./reply.ts";
import { listQuery, ROUTES, type RoutePath } from "./routes.ts";
import { summaryOf } from "./served-runs.ts";
import { stateJson } from "./state-json.ts";
import { clientOf, openStream, streamKindOf, type StreamKind } from "./stream.ts";
import { uiChat, uiStream } from "./ui-stream/endpoint.ts";

/** What node-server hands on beside the request; nothing where the handler is mounted elsewhere. */
export interface NodeBindings {
  readonly outgoing?: unknown;
}

type Handler = (core: Core, asked: Asked) => Promise<Response | Refusal>;

const HANDLERS: Readonly<Record<RoutePath, { readonly GET?: Handler; readonly POST?: Handler }>> = {
  "/runs": { GET: listRuns, POST: startRun },
  "/runs/:id": { GET: showRun },
  "/runs/:id/state": { GET: showState },
  "/runs/:id/commands": { POST: command },
  "/runs/:id/tickets": { POST: ticket },
  "/runs/:id/events": { GET: events },
  "/runs/:id/socket": { GET: noSocket },
  "/agui": { POST: agui },
  "/agui/:agent": { POST: agui },
  "/ui/chat": { POST: uiChat },
  "/ui/chat/:id/stream": { GET: uiStream },
  "/health": { GET: health },
  "/api/health": { GET: health },
  "/metrics": { GET: metrics },
  "/api/metrics": { GET: metricsJson },
  "/openapi.json": { GET: description },
};

/** Every route over HTTP. Sockets come by another way, and through the same guard. */
export function createApp(core: Core): Hono<{ Bindings: NodeBindings }> {
  const { basePath } = core.settings;
  const app = new Hono<{ Bindings: NodeBindings }>();
  for (const path of ROUTES) {
    app.all(`${basePath}${path}`, (context) => answer(core, context, path, HANDLERS[path]));
  }
  if (core.settings.inspect) addPage(app, core);
  app.notFound((context) => answer(core, context, undefined, {}));
  // What a handler throws is caught below; this is for faults of the router itself.
  app.onError((error, context) => {
    core.report(error);
    return refused(context.req.raw, refusalOf(undefined));
  });
  return app;
}

type AppContext = Context<{ Bindings: NodeBindings }>;
type Handlers = (typeof HANDLERS)[RoutePath];

/** From the guard to the answer: whatever happens, it is one JSON error and one count. */
async function answer(
  core: Core,
  context: AppContext,
  path: RoutePath | undefined,
  handlers: Handlers,
): Promise<Response> {
  const request = context.req.raw;
  const headers = core.guard.corsHeaders(request);
  const response = await respond(core, context, path, handlers, headers);
  const said = isRefusal(response)
    ? refused(request, { ...response, headers: { ...headers, ...response.headers } })
    : response;
  core.metrics.request(path ?? "other", isSent(said) ? 200 : said.status);
  return said;
}

/** A stream went out on its own. */
function isSent(response: Response): boolean {
  return response.headers.has("x-hono-already-sent");
}

async function respond(
  core: Core,
  context: AppContext,
  path: RoutePath | undefined,
  handlers: Handlers,
  headers: Headers,
): Promise<Response | Refusal> {
  const request = context.req.raw;
  try {
    if (request.method === "OPTIONS" && "Access-Control-Allow-Origin" in headers) {
      // The browser asks without a token, and is told nothing but what it may send.
      return new Response(null, {
        status: 204,
        headers: { ...SAFE_HEADERS, ...headers, ...preflightHeaders(request) },
      });
    }
    const runId = context.req.param("id") ?? "";
    const ticketRun = path === "/runs/:id/events" && request.method === "GET" ? runId : undefined;
    const refusal = core.guard.admit(request, ticketRun);
    if (refusal !== undefined) return refusal;
    if (path === undefined) return refuse(404, "not_found", "There is nothing here. See GET /openapi.json.");
    const { method } = request;
    const handler = method === "GET" || method === "POST" ? handlers[method] : undefined;
    if (handler === undefined) {
      const allowed = Object.keys(handlers).join(", ");
      return refuse(405, "method_not_allowed", `Here is ${allowed} only.`, { Allow: allowed });
    }
    // Who asks whether it takes new work is told that it does not.
    if (core.closing && handler !== health) return shuttingDown();
    const agent = context.req.param("agent");
    return await handler(core, { request, runId, agent, outgoing: context.env?.outgoing, headers });
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal.status >= 500) core.report(error);
    return refusal;
  }
}

async function listRuns(core: Core, { request, headers }: Asked): Promise<Response | Refusal> {
  const caller = await core.authorize(request, "list");
  if (isRefusal(caller)) return caller;
  const asked = new URL(request.url).searchParams;
  const metadata = [...asked].flatMap(([key, value]): [string, string][] =>
    key.startsWith("metadata.") ? [[key.slice("metadata.".length), value]] : [],
  );
  const plain = Object.fromEntries([...asked].filter(([key]) => !key.startsWith("metadata.")));
  const query = listQuery.safeParse(plain);
  if (!query.success) return refuse(400, "invalid_request", z.prettifyError(query.error));
  const { status, agent, limit } = query.data;
  const all = await core.runs.list(status, agent);
  const matching = all.filter((run) =>
    metadata.every(([key, value]) => {
      const has = Object.hasOwn(run.metadata, key) ? run.metadata[key] : undefined;
      return has !== undefined && (typeof has === "string" ? has : JSON.stringify(has)) === value;
    }),
  );
  const runs = [];
  // The newest, the oldest of them first.
  for (const run of matching.toReversed()) {
    if (runs.length === limit) break;
    // A list must not show what its caller may not read.
    if (!isRefusal(await core.authorize(request, "read", run))) runs.push(run);
  }
  return json(request, { runs: runs.reverse() }, 200, headers);
}

async function startRun(core: Core, asked: Asked): Promise<Response | Refusal> {
  const { request, outgoing } = asked;
  const body = await bodyOf(request, startSchema, core.settings.limits.bodyBytes);
  if (isRefusal(body)) return body;
  const { agent: name, ...about } = body;
  const kind = streamKindOf(request);
  // Nothing is begun whose stream is refused: its client would take it for not begun.
  const wanted = kind === undefined ? NO_STREAM : streamOf(core, request, kind, about.runId);
  if (isRefusal(wanted)) return wanted;
  const begun = await beginRun(core, request, name, about);
  if (isRefusal(begun)) return begun;
  const { run, agent } = begun;
  const headers = { ...asked.headers, Location: `${core.settings.basePath}/runs/${run.id}`, "X-Run-Id": run.id };
  if (kind === undefined) {
    const { durableSeq: seq, state } = run;
    return json(request, { runId: run.id, agent: agent.name, seq, status: state.status }, 201, headers);
  }
  const served = { runId: run.id, name: agent.name, agent, log: agent.log, head: await agent.log.head(run.id) };
  const untilRest = follows(request, false) ? undefined : run;
  return openStream(core, { request, served, kind, wanted, untilRest, outgoing, headers });
}

const NO_STREAM: Wanted = { after: 0, types: undefined };

/** What the stream of a run that is not begun yet shows, or why there is none. */
function streamOf(core: Core, request: Request, kind: StreamKind, runId = ""): Wanted | Refusal {
  const full = core.connections.refusal({ kind, runId, client: clientOf(request) });
  return full ?? wantedOf(request, runId, 0);
}

async function showRun(core: Core, { request, runId, headers }: Asked): Promise<Response | Refusal> {
  const found = await core.runFor(request, "read", runId);
  if (isRefusal(found)) return found;
  return json(request, await summaryOf(found.served), 200, headers);
}

async function showState(core: Core, { request, runId, headers }: Asked): Promise<Response | Refusal> {
  const found = await core.runFor(request, "read", runId);
  if (isRefusal(found)) return found;
  const { log, head } = found.served;
  const said = new URL(request.url).searchParams.get("seq");
  if (said !== null && !/^\d{1,15}$/.test(said)) return refuse(400, "invalid_request", "seq: a whole number from 0.");
  const state = await stateAt(log, runId, said === null ? head.seq : Number(said));
  return json(request, stateJson(state), 200, headers);
}

async function command(core: Core, { request, runId, headers }: Asked): Promise<Response | Refusal> {
  const body = await jsonOf(request, core.settings.limits.bodyBytes);
  if (isRefusal(body)) return body;
  const receipt = await performFor(core, request, runId, body.value, callerIn(request));
  if (isRefusal(receipt)) return receipt;
  return json(request, receipt, receipt.accepted ? 200 : 409, headers);
}

async function ticket(core: Core, { request, runId, headers }: Asked): Promise<Response | Refusal> {
  const body = await bodyOf(request, z.strictObject({}), core.settings.limits.bodyBytes);
  if (isRefusal(body)) return body;
  const found = await core.runFor(request, "ticket", runId);
  if (isRefusal(found)) return found;
  return json(request, core.guard.ticketFor(runId), 201, headers);
}

async function events(core: Core, asked: Asked): Promise<Response | Refusal> {
  const { request, runId, outgoing, headers } = asked;
  const found = await core.runFor(request, "stream", runId);
  if (isRefusal(found)) return found;
  const { served } = found;
  const wanted = wantedOf(request, runId, served.head.seq);
  if (isRefusal(wanted)) return wanted;
  const accept = request.headers.get("accept") ?? "*/*";
  const kind = streamKindOf(request) ?? (/\*\/\*|\btext\/\*/.test(accept) ? "sse" : undefined);
  if (kind === undefined) {
    return refuse(406, "not_acceptable", "Events come as text/event-stream or application/x-ndjson.");
  }
  const untilRest = follows(request, true) ? undefined : await served.agent.open(runId);
  return openStream(core, { request, served, kind, wanted, untilRest, outgoing, headers });
}

function follows(request: Request, otherwise: boolean): boolean {
  const said = new URL(request.url).searchParams.get("follow");
  return said === null ? otherwise : said !== "false" && said !== "0";
}

/** Upgrades do not come by this way. */
async function noSocket(): Promise<Refusal> {
  return refuse(426, "upgrade_required", "This is a WebSocket.", { Upgrade: "websocket", Connection: "Upgrade" });
}

/**
 * Alive: it answers. Ready: it takes new work, and can read its logs. By the status alone `?probe=live` asks for the one, everything else for the
 * other.
 */
async function health(core: Core, { request, headers }: Asked): Promise<Response | Refusal> {
  const caller = await core.authorize(request, "health");
  if (isRefusal(caller)) return caller;
  const live = new URL(request.url).searchParams.get("probe") === "live";
  const log = core.closing ? "unknown" : (await readsLogs(core)) ? "ok" : "failed";
  const ready = log === "ok";
  const status = core.closing ? "closing" : ready ? "ok" : "unavailable";
  return json(request, { status, live: true, ready, log }, ready || live ? 200 : 503, headers);
}

/** How long a log may take to say that it is there, ms. */
const LOG_MS = 2_000;

async function readsLogs(core: Core): Promise<boolean> {
  return (await soon(core, core.runs.answer())) ?? false;
}

/** What a log says; undefined where it says nothing in time, or fails. */
async function soon<Answer>(core: Core, work: Promise<Answer>): Promise<Answer | undefined> {
  let cancel = (): void => {};
  const tooLate = new Promise<undefined>((resolve) => {
    cancel = core.settings.clock.timer(LOG_MS, () => {
      resolve(undefined);
    });
  });
  try {
    return await Promise.race([work, tooLate]);
  } catch (error) {
    core.report(error);
    return undefined;
  } finally {
    cancel();
  }
}

async function momentOf(core: Core): Promise<Moment> {
  const runs = new Map<string, number>();
  // While a log fails the figures are what somebody wants to see: all but those that stand there alone.
  const listed = (await soon(core, core.runs.list(undefined, undefined))) ?? [];
  for (const { status } of listed) runs.set(status, (runs.get(status) ?? 0) + 1);
  const { connections, working, settings } = core;
  const agents = settings.agents.map((agent) => agent.metrics());
  return { open: (kind) => connections.count(kind), working: working.size, runs, agents };
}

async function metrics(core: Core, { request, headers }: Asked): Promise<Response | Refusal> {
  const caller = await core.authorize(request, "metrics");
  if (isRefusal(caller)) return caller;
  const body = core.metrics.text(await momentOf(core));
  return text(request, body, "text/plain; version=0.0.4; charset=utf-8", 200, headers);
}

async function metricsJson(core: Core, { request, headers }: Asked): Promise<Response | Refusal> {
  const caller = await core.authorize(request, "metrics");
  return isRefusal(caller) ? caller : json(request, core.metrics.json(await momentOf(core)), 200, headers);
}

async function description(core: Core, { request, headers }: Asked): Promise<Response | Refusal> {
  const caller = await core.authorize(request, "openapi");
  if (isRefusal(caller)) return caller;
  return json(request, openApi(core.settings), 200, headers);
}
