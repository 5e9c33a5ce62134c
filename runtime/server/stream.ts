import { ServerResponse } from "node:http";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import type { Run } from "../run.ts";
import { shuttingDown, type Core } from "./core.ts";
import { acceptsGzip } from "./gzip-stream.ts";
import type { Connection } from "./connections.ts";
import type { Wanted } from "./cursor.ts";
import { SAFE_HEADERS, type Headers } from "./reply.ts";
import type { Refusal } from "./refusal.ts";
import { isCancelled, type ServedRun } from "./served-runs.ts";
import { fetchSink, nodeSink, type SinkEvents } from "./sinks.ts";
import { Subscription, type Sink } from "./subscription.ts";

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
  const { request, served, kind, wanted, outgoing } = asked;
  const { log, runId } = served;
  const client = clientOf(request);
  const full = core.connections.refusal({ kind, runId, client });
  if (full !== undefined) return full;
  const cancelled = await isCancelled(log, runId, served.head.seq);
  if (cancelled && !(await hasMore(served, wanted))) {
    return new Response(null, { status: 204, headers: { ...SAFE_HEADERS, ...asked.headers } });
  }
  const gzip = acceptsGzip(request.headers.get("accept-encoding"));
  const headers: Headers = {
    ...SAFE_HEADERS,
    ...asked.headers,
    "Content-Type": TYPE[kind],
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
  // Between the check above and here others may have come.
  const late = core.closing ? shuttingDown() : core.connections.refusal({ kind, runId, client });
  if (late !== undefined) return late;
  const opened = openSink(outgoing, headers, kind, gzip, events);
  const subscription = subscribe(core, { ...asked, client, cancelled, sink: opened.sink });
  if (outgoing instanceof ServerResponse && outgoing.destroyed) subscription.dispose();
  subscription.pump();
  return opened.response;
}

function openSink(
  outgoing: unknown,
  headers: Headers,
  kind: StreamKind,
  gzip: boolean,
  events: SinkEvents,
): { readonly sink: Sink; readonly response: Response } {
  if (outgoing instanceof ServerResponse) {
    return { sink: nodeSink(outgoing, headers, kind, gzip, events), response: RESPONSE_ALREADY_SENT };
  }
  const { sink, body } = fetchSink(kind, gzip, events);
  return { sink, response: new Response(body, { headers }) };
}

interface SubscribeRequest extends StreamRequest {
  readonly client: string | undefined;
  readonly cancelled: boolean;
  readonly sink: Sink;
}

function subscribe(core: Core, asked: SubscribeRequest): Subscription {
  const { served, kind, wanted, untilRest, client, cancelled, sink } = asked;
  const { clock, heartbeatMs, maxConnectionMs } = core.settings;
  const feed = core.feed(served);
  let leave = (): void => {};
  let stopWaiting = (): void => {};
  const subscription = new Subscription({
    feed,
    view: feed.view(kind, wanted.types),
    cursor: wanted.after,
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
  const connection: Connection = {
    kind,
    runId: served.runId,
    end(reason) {
      subscription.end(reason);
    },
    finish(reason) {
      subscription.finish(reason);
    },
    destroy() {
      subscription.destroy();
    },
  };
  leave = core.connections.enter(connection, client);
  core.metrics.connection(kind);
  if (untilRest !== undefined) {
    stopWaiting = core.working.onRest(untilRest, (seq) => {
      subscription.endAt(seq);
    });
  }
  return subscription;
}

/** Whether anything that the client wants comes after its cursor, in a run that is over. */
async function hasMore(served: ServedRun, { after, types }: Wanted): Promise<boolean> {
  if (types === undefined) return after < served.head.seq;
  for (let cursor = after; cursor < served.head.seq;) {
    const page = await served.log.read(served.runId, { after: cursor, limit: 512 });
    if (page.some((event) => types.has(event.type))) return true;
    const last = page.at(-1);
    if (last === undefined) return false;
    cursor = last.seq;
  }
  return false;
}
