import { PAGE_BYTES } from "../log/event-log.ts";
import { ServerResponse } from "node:http";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import type { Run } from "../run.ts";
import { shuttingDown, type Core } from "./core.ts";
import { acceptsGzip } from "./gzip-stream.ts";
import type { ConnectionKind } from "./connections.ts";
import type { RunFeed } from "./feed.ts";
import type { Wanted } from "./cursor.ts";
import { SAFE_HEADERS, type Headers } from "./reply.ts";
import type { Refusal } from "./refusal.ts";
import { isCancelled, type ServedRun } from "./served-runs.ts";
import { fetchSink, nodeSink, type Farewell, type SinkEvents, type StreamForm } from "./sinks.ts";
import { Subscription, type Sink, type View } from "./subscription.ts";

export type StreamKind = "sse" | "ndjson";

const TYPE: Readonly<Record<StreamKind, string>> = {
  sse: "text/event-stream; charset=utf-8",
  ndjson: "application/x-ndjson; charset=utf-8",
};

/** What a request accepts as a stream; undefined where it does not ask for one by name. */
export function streamKindOf(request: Request): StreamKind | undefined {
  const accept = request.headers.get("accept") ?? "";
  if (/\bapplication\/x-ndjson\b/i.test(accept)) return "ndjson";
  return /\btext\/event-stream\b/i.test(accept) ? "sse" : undefined;
}

/** The name by which a client replaces its own older stream. */
export function clientOf(request: Request): string | undefined {
  const said = request.headers.get("x-client-id") ?? new URL(request.url).searchParams.get("client");
  return said === null || said === "" ? undefined : said.slice(0, 128);
}

export interface StreamRequest {
  readonly request: Request;
  readonly served: ServedRun;
  readonly kind: StreamKind;
  readonly wanted: Wanted;
  /** Given: it ends where this run rests. */
  readonly untilRest: Run | undefined;
  /** Node's own response, where there is one. */
  readonly outgoing: unknown;
  readonly headers: Headers;
}

/** Opens the stream of a run. 204 where nothing will ever come. */
export async function openStream(core: Core, asked: StreamRequest): Promise<Response | Refusal> {
  const { request, served, kind, wanted } = asked;
  const { log, runId } = served;
  const client = clientOf(request);
  const full = core.connections.refusal({ kind, runId, client });
  if (full !== undefined) return full;
  const cancelled = await isCancelled(log, runId, served.head.seq);
  if (cancelled && !(await hasMore(served, wanted))) {
    return new Response(null, { status: 204, headers: { ...SAFE_HEADERS, ...asked.headers } });
  }
  const view = (feed: RunFeed): View => feed.view(kind, wanted.types);
  return connect(core, {
    ...asked,
    kind,
    format: kind,
    client,
    cursor: wanted.after,
    view,
    cancelled,
    headers: { ...asked.headers, "Content-Type": TYPE[kind] },
    restAt: (seq) => seq,
  });
}

export interface ConnectRequest {
  readonly request: Request;
  readonly served: ServedRun;
  readonly kind: ConnectionKind;
  readonly format: StreamForm["format"];
  readonly client: string | undefined;
  readonly cursor: number;
  readonly view: (feed: RunFeed) => View;
  /** The run was cancelled before the cursor. */
  readonly cancelled: boolean;
  /** Given: it ends where this run rests. */
  readonly untilRest: Run | undefined;
  /** Where the stream ends of a run that rests at this seq; undefined: it is beyond that already, and ends at the next rest. */
  readonly restAt: (seq: number) => number | undefined;
  readonly farewell?: Farewell;
  /** Node's own response, where there is one. */
  readonly outgoing: unknown;
  readonly headers: Headers;
}

/** Sends what a view of a run shows, as its client takes it. */
export function connect(core: Core, asked: ConnectRequest): Response | Refusal {
  const { request, served, kind, format, client, farewell, outgoing } = asked;
  const { runId } = served;
  // Between the first check and here others may have come.
  const late = core.closing ? shuttingDown() : core.connections.refusal({ kind, runId, client });
  if (late !== undefined) return late;
  const gzip = acceptsGzip(request.headers.get("accept-encoding"));
  const headers: Headers = {
    ...SAFE_HEADERS,
    ...asked.headers,
    "X-Run-Id": runId,
    // A proxy that collects the answer would hold back what is live.
    "X-Accel-Buffering": "no",
    ...(gzip ? { "Content-Encoding": "gzip" } : {}),
  };
  const events: SinkEvents = {
    onDrained() {
      subscription.drained();
    },
    onClosed() {
      subscription.dispose();
    },
  };
  const opened = openSink(outgoing, headers, { format, gzip, farewell }, events);
  const subscription = subscribe(core, asked, opened.sink);
  if (outgoing instanceof ServerResponse && outgoing.destroyed) subscription.dispose();
  subscription.pump();
  return opened.response;
}

function openSink(
  outgoing: unknown,
  headers: Headers,
  form: StreamForm,
  events: SinkEvents,
): { readonly sink: Sink; readonly response: Response } {
  if (outgoing instanceof ServerResponse) {
    return { sink: nodeSink(outgoing, headers, form, events), response: RESPONSE_ALREADY_SENT };
  }
  const { sink, body } = fetchSink(form, events);
  return { sink, response: new Response(body, { headers }) };
}

function subscribe(core: Core, asked: ConnectRequest, sink: Sink): Subscription {
  const { served, kind, cursor, view, untilRest, client, cancelled, restAt } = asked;
  const { clock, heartbeatMs, maxConnectionMs } = core.settings;
  const feed = core.feed(served);
  let leave = (): void => {};
  let stopWaiting = (): void => {};
  const subscription = new Subscription({
    kind,
    feed,
    view: view(feed),
    cursor,
    sink,
    clock,
    heartbeatMs,
    beatsAlways: false,
    maxConnectionMs,
    cancelled,
    onDispose() {
      leave();
      stopWaiting();
    },
    onError(error) {
      core.report(error);
    },
    onDelivered(events, bytes) {
      core.metrics.delivered(events, bytes);
    },
  });
  leave = core.connections.enter(subscription, client);
  core.metrics.connection(kind);
  const waitFor = (run: Run): void => {
    stopWaiting = core.working.onRest(run, (seq) => {
      const at = restAt(seq);
      if (at === undefined) waitFor(run);
      else subscription.endAt(at);
    });
  };
  if (untilRest !== undefined) waitFor(untilRest);
  return subscription;
}

/** Whether anything that the client wants comes after its cursor, in a run that is over. */
async function hasMore(served: ServedRun, { after, types }: Wanted): Promise<boolean> {
  if (types === undefined) return after < served.head.seq;
  for (let cursor = after; cursor < served.head.seq;) {
    const page = await served.log.read(served.runId, { after: cursor, limit: 512, bytes: PAGE_BYTES });
    if (page.some((event) => types.has(event.type))) return true;
    const last = page.at(-1);
    if (last === undefined) return false;
    cursor = last.seq;
  }
  return false;
}
