import { z } from "zod";
import { callerFields, jsonSchema, type Event, type Json } from "../../machines/events.ts";
import { messageSchema } from "../../machines/messages.ts";
import { LONGEST_TIMER_MS } from "../clock.ts";
import type { InterruptReceipt, Receipt, SendReceipt } from "../run.ts";

/**
 * The wire protocol of `rubato/server`: what a request may say, and what a frame looks like. It runs in a browser.
 *
 * **Everywhere.** `Authorization: Bearer TOKEN` where the server has a token. Bodies are `application/json`. An error is
 * `{ "error": { "code", "message" } }` with its status: 400 invalid_json, invalid_request, unknown_command, invalid_cursor, cursor_beyond_head,
 * cursor_of_another_run; 401 unauthorized; 403 forbidden, forbidden_host, forbidden_origin; 404 not_found, unknown_run; 405 method_not_allowed;
 * 406 not_acceptable; 409 run_exists and other refusals by the log; 413 too_large; 415 unsupported_media_type; 426 upgrade_required;
 * 429 too_many_runs, too_many_connections (with `Retry-After`); 500 internal; 503 log, closing.
 *
 * **POST /runs** `{ agent?, task, runId?, messages?, metadata?, traceparent?, tracestate? }` ({@link startSchema}; `agent` may be left out where there is one). 201
 * `{ runId, agent, seq, status }` once its first event is stored; with `Accept: text/event-stream` or `application/x-ndjson` 200 and the run's
 * events, which end at its rest (`?follow=true`: they go on). The id is in the header `X-Run-Id`, and in every event. `traceparent` and
 * `tracestate`, in the body or else as headers, are kept: the run's spans belong to that trace.
 * **GET /runs** `?status=&agent=&metadata.KEY=VALUE` -> `{ runs: RunSummary[] }`, oldest first.
 * **GET /runs/:id** -> `{ ...RunSummary }`.
 * **GET /runs/:id/state** `?seq=` -> {@link StateJson}, as of now or of that seq.
 * **POST /runs/:id/commands** {@link commandSchema} -> the receipt: 200 `{ accepted: true, seq, ... }`, 409 `{ accepted: false, reason, message? }`.
 * `send`, `resume`, `approve`, `reject` and `fork` take `traceparent` and `tracestate`, in the command or else as headers: what they begin belongs to that
 * trace. A fork answers `{ accepted: true, runId, seq }`. An interrupt and a cancel answer when they are effective; a request that is cut off stops nothing.
 * **POST /runs/:id/tickets** -> `{ ticket, expiresAt }`: a browser's `EventSource` sends no header, so it opens
 * `/runs/:id/events?ticket=TICKET`. A ticket reads the events of this one run until `expiresAt`, and can do nothing else.
 * **GET /health**, **GET /api/health** `{ status: "ok" | "closing" | "unavailable", live: true, ready, log }`, 503 where it is not ready (200 with
 * `?probe=live`); **GET /metrics** Prometheus text, **GET /api/metrics** JSON, totals and the last minute; **GET /openapi.json** OpenAPI 3.1.
 *
 * **POST /agui**, **POST /agui/:agent** AG-UI 1.0: `RunAgentInput` in, its events as SSE out, until the run rests. `threadId` is the run; `forwardedProps.when`
 * is that of a `send`. What is said, attached to and answered: agui/endpoint.ts; what becomes of an event: agui/translator.ts.
 * **POST /ui/chat** `?whole=true`, **GET /ui/chat/:id/stream** the UI message stream (v1) of the AI SDK: the chat is the run. The body may have `when`, and
 * `agent` for a new chat. 204 where nothing is being made. ui-stream/endpoint.ts, ui-stream/translator.ts.
 * Both: a stream ends where the run rests, and with last words of its protocol also where it ends before (`maxConnectionMs`, a shutdown). The `id:` of the
 * last line that an event led to is its seq. To leave a stream stops nothing: stop is `POST /runs/:id/commands` `{ "verb": "interrupt", "mode": "now" }`.
 * `authorize` is asked for `create`, or for `stream` and for each command by its verb.
 * 400 no_user_message, unsupported_content; 409 other_agent, message_changed, not_regenerated, not_waiting and the other reasons of a receipt.
 *
 * **GET /runs/:id/events** `?after=SEQ&types=PATTERN,PATTERN&follow=false&client=ID`. Stored events only, in order of seq, those after the cursor.
 * The cursor is the header `Last-Event-ID`, else `?after=`, else 0: a seq, or `RUNID:SEQ`, which another run refuses. `types` takes event types
 * and prefixes such as `tool_*`. It goes on while the run rests, until `cancelled` was delivered; `follow=false` ends it at the run's rest.
 * 204: the run is cancelled and there is nothing after the cursor. A newer stream of the same `client` (or header `X-Client-Id`) on the same run
 * ends the older one. After `maxConnectionMs` (1 h), at a shutdown and wherever it breaks it is resumed from the last seq that came.
 * - As SSE (default): `id: SEQ`, `event: TYPE`, `data: EVENT` for each event, many per write; comments (`:`) every 15 s and before an end
 *   (`: end REASON`), and `retry: 1000` first. Nothing but an event has an id. An `EventSource` has its own news about the connection under the name of our
 *   `error` event as well: what has no data is that.
 * - As NDJSON (`Accept: application/x-ndjson`): one event per line; an empty line every 15 s.
 *
 * **GET /runs/:id/socket** `?after=&types=&client=` WebSocket, text frames of JSON. A browser gives its token as a second subprotocol:
 * `new WebSocket(url, ["rubato.v1", "rubato.token." + base64url(token)])`; the server selects `rubato.v1`.
 * - In ({@link frameSchema}): `{ type: "command", id, command }`, `{ type: "subscribe", id?, after?, types? }` (from there on; replaces the
 *   subscription that the URL began), `{ type: "ping", id? }`.
 * - Out ({@link ServerFrame}): `{ type: "events", events: [...] }`, `{ type: "receipt", id, receipt }` with the id of its command,
 *   `{ type: "subscribed", id?, after }`, `{ type: "pong", id? }`, `{ type: "error", id?, error: { code, message } }` (the socket stays open),
 *   `{ type: "end", reason, after }` before the server closes.
 * - Close codes: 1000 cancelled and all delivered; 1001 shutdown or `maxConnectionMs`; 1003 a binary frame; 1009 a frame above the limit; 1011 the
 *   log cannot be read; 4000 superseded by a newer socket of the same client; 4008 too much unread.
 */
export const PROTOCOL = "rubato.v1";
/** What stands before the token in a subprotocol. */
export const TOKEN_PROTOCOL = "rubato.token.";

/** Keys are data: zod's own record would lose one named `__proto__`. */
const metadataSchema = z
  .custom<Readonly<Record<string, Json>>>(
    (value) =>
      typeof value === "object" && value !== null && !Array.isArray(value) && jsonSchema.safeParse(value).success,
    "not a JSON object",
  )
  .meta({ type: "object" });

const seq = z.number().int().nonnegative();
const text = z.string().refine((said) => said.trim() !== "", "empty");

export const startSchema = z.strictObject({
  /** Its name. May be left out where the server has one. */
  agent: z.string().optional(),
  task: text,
  runId: z.string().optional(),
  messages: z.array(messageSchema).optional(),
  metadata: metadataSchema.optional(),
  ...callerFields,
});
export type StartRequest = Readonly<z.input<typeof startSchema>>;

/** Who asks, for the log. What `authorize` says about the caller comes before it. */
const by = z.string().max(128).optional();
const graceMs = z.number().nonnegative().max(LONGEST_TIMER_MS).optional();
const reason = z.string().optional();
const callId = z.string();

export const commandSchema = z.discriminatedUnion("verb", [
  z.strictObject({
    verb: z.literal("send"),
    text,
    when: z.enum(["now", "step", "done"]).optional(),
    /** The same id twice is one input. */
    id: z.string().min(1).max(128).optional(),
    ...callerFields,
  }),
  z.strictObject({ verb: z.literal("interrupt"), reason, mode: z.enum(["step", "now"]).optional(), graceMs, by }),
  z.strictObject({
    verb: z.literal("resume"),
    instruction: z.string().optional(),
    partial: z.enum(["keep", "continue", "discard"]).optional(),
    budget: z.record(z.string(), z.number()).optional(),
    /** Also from a process that lives. */
    takeover: z.boolean().optional(),
    allowChanged: z.boolean().optional(),
    by,
    ...callerFields,
  }),
  z.strictObject({
    verb: z.literal("approve"),
    callId,
    args: jsonSchema.optional(),
    /** For a tool that asks: what the person says. */
    answer: z.string().optional(),
    /** The tool's later calls in this run as well. */
    forRun: z.boolean().optional(),
    /** Of the arguments that the person saw. */
    argsHash: z.string().optional(),
    by,
    ...callerFields,
  }),
  z.strictObject({ verb: z.literal("reject"), callId, reason, by, ...callerFields }),
  z.strictObject({
    verb: z.literal("settleCall"),
    callId,
    /** One of both. */
    output: jsonSchema.optional(),
    error: z.string().optional(),
  }),
  z.strictObject({ verb: z.literal("cancel"), reason, graceMs, by }),
  z.strictObject({
    verb: z.literal("fork"),
    at: z.number().int().positive(),
    instruction: z.string().optional(),
    results: z
      .record(z.string(), z.union([z.strictObject({ output: jsonSchema }), z.strictObject({ error: z.string() })]))
      .optional(),
    runId: z.string().optional(),
    ...callerFields,
  }),
]);
export type CommandRequest = Readonly<z.input<typeof commandSchema>>;
export type CommandVerb = CommandRequest["verb"];

const frameId = z.string().min(1).max(128);

/** What a socket takes. The command is checked on its own, so that an unknown one is answered with its id. */
export const frameSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("command"), id: frameId, command: z.unknown() }),
  z.strictObject({
    type: z.literal("subscribe"),
    id: frameId.optional(),
    after: seq.optional(),
    types: z.array(z.string()).optional(),
  }),
  z.strictObject({ type: z.literal("ping"), id: frameId.optional() }),
]);
export type ClientFrame =
  | { readonly type: "command"; readonly id: string; readonly command: CommandRequest }
  | { readonly type: "subscribe"; readonly id?: string; readonly after?: number; readonly types?: readonly string[] }
  | { readonly type: "ping"; readonly id?: string };

export type { StateJson } from "./state-json.ts";

export interface WireError {
  readonly code: string;
  readonly message: string;
}

/** Why a stream or a socket ended that was not cut. All but `cancelled` can be resumed; `rest`: with `follow=false`. */
export type EndReason = "cancelled" | "rest" | "shutdown" | "max_connection" | "superseded" | "log";

/** A fork names its run. */
export type CommandReceipt =
  | Receipt
  | InterruptReceipt
  | SendReceipt
  | { readonly accepted: true; readonly seq: number; readonly runId: string };

export type ServerFrame =
  | { readonly type: "events"; readonly events: readonly Event[] }
  | { readonly type: "receipt"; readonly id: string; readonly receipt: CommandReceipt }
  | { readonly type: "subscribed"; readonly id?: string; readonly after: number }
  | { readonly type: "pong"; readonly id?: string }
  | { readonly type: "error"; readonly id?: string; readonly error: WireError }
  | { readonly type: "end"; readonly reason: EndReason; readonly after: number };
