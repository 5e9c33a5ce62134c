import { randomUUID } from "node:crypto";
import { RubatoError } from "../errors.ts";
import { STOPPED, type Stop } from "../lazy-signal.ts";
import type { ModelChunk, ModelRequest } from "./chat-model.ts";
import { oneByOne } from "./one-by-one.ts";
import type { BodyReader, CallOptions, ChatBody, ChatClient, Endpoint } from "./openai-client.ts";
import { REQUEST_ID_HEADER, UNWATCHED, watchConnection, type FreeConnections } from "./openai-connection.ts";
import { chatDecoder } from "./openai-decoder.ts";
import { explainFailure, modelFailureOf, oneLine, timedOut } from "./openai-errors.ts";
import { bodyFrames, closeBody, streamFrames, type Frames } from "./openai-frames.ts";
import { watchdog, type SetTimer } from "./openai-watchdog.ts";
import { isRecord } from "../is-record.ts";

// What this file keeps, each with a test:
// S1 Abort, return and every error close the connection, stop the timer and take the listener off what tells to stop.
// S2 After an abort the stream ends without `finish` and without an error, whatever the SDK did about it.
// S3 Without a reason to finish from the endpoint there is no `finish`: the caller must know a cut answer from a whole one.
// S4 No wait is without a limit. Time that the consumer takes between two chunks counts for the whole answer alone.

/** How long the usage may come after the reason to finish. The answer itself is complete by then. */
const TAIL_MS = 5_000;
/** How long the list of models may take, which is only asked to make an error clearer. */
const LIST_MS = 3_000;
const MAX_LISTED = 10;

export interface StreamSettings {
  readonly endpoint: Endpoint;
  readonly connections: FreeConnections;
  readonly connectTimeoutMs: number;
  readonly headerTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly totalTimeoutMs: number;
  readonly setTimer: SetTimer;
}

/** What of a request goes out as headers. */
type TraceOut = Pick<ModelRequest, "traceparent" | "tracestate">;

/** Sends one chat request, at the first `next()`, and yields its answer piece by piece. */
export function streamChat(
  body: ChatBody,
  stop: Stop,
  settings: StreamSettings,
  trace: TraceOut = {},
): AsyncIterable<ModelChunk> {
  return oneByOne(streamPieces(body, stop, settings, trace), stop);
}

/** Yields the pieces that arrived together, together. */
async function* streamPieces(
  body: ChatBody,
  stop: Stop,
  settings: StreamSettings,
  { traceparent, tracestate }: TraceOut,
): AsyncGenerator<readonly ModelChunk[], void, undefined> {
  const { endpoint, connections, connectTimeoutMs, headerTimeoutMs, idleTimeoutMs, totalTimeoutMs, setTimer } =
    settings;
  if (stop.aborted) return;
  const client = await endpoint.client();
  if (stop.aborted) return;

  // One controller per request: the SDK never takes its listener off the signal that it is given.
  const controller = new AbortController();
  let close: (() => void) | undefined;
  const abort = () => {
    if (close === undefined) controller.abort(STOPPED);
    else close();
  };
  const leave = stop.listen(abort);
  const watch = watchdog(setTimer, abort);
  const decoder = chatDecoder();
  let begun = false;
  let empty = true;
  const id = randomUUID();
  let connected = (): void => {};
  const connection = connections.take()
    ? UNWATCHED
    : watchConnection(id, {
        onConnecting() {
          connected = watch.limit("connect", connectTimeoutMs);
        },
        onConnected() {
          connected();
        },
      });

  try {
    watch.limit("total", totalTimeoutMs);
    watch.start("headers", headerTimeoutMs);
    const headers = {
      [REQUEST_ID_HEADER]: id,
      ...(traceparent === undefined ? {} : { traceparent }),
      ...(tracestate === undefined ? {} : { tracestate }),
    };
    const options = { ...callOptions(controller.signal, headerTimeoutMs), headers };
    const answer = await send(client, body, options);
    const { contentType } = answer;
    begun = true;
    connection.leave();
    connected();
    close = answer.close;
    watch.start("data", idleTimeoutMs);
    for await (const frames of answer.frames) {
      watch.rest();
      if (stop.aborted) return;
      empty = false;
      const finishedBefore = decoder.finished;
      const pieces: ModelChunk[] = [];
      for (const frame of frames) decoder.push(frame, pieces);
      if (pieces.length > 0) yield pieces;
      if (decoder.finished && !finishedBefore) watch.start("tail", TAIL_MS);
      else watch.wait();
    }
    if (watch.expired === undefined) connections.give();
    if (empty && watch.expired === undefined) checkContentType(contentType, endpoint.shown);
  } catch (thrown) {
    if (!stop.aborted && watch.expired === undefined && !decoder.finished) {
      const offered = isStatus(thrown, 404) ? await offeredModels() : undefined;
      const { state } = connection;
      const phase = begun ? "data" : state === "connecting" ? "connect" : "headers";
      if (!stop.aborted) throw explainFailure(thrown, { ...endpoint, model: body.model, phase, offered });
    }
  } finally {
    watch.stop();
    connection.leave();
    leave();
  }

  if (stop.aborted) return;
  const finish = decoder.end();
  if (finish !== undefined) {
    yield [finish];
    return;
  }
  // The SDK ends quietly when it is aborted, so an expired time is only known here.
  switch (watch.expired) {
    case "connect":
      throw timedOut(endpoint.shown, body.model, "connect", connectTimeoutMs);
    case "headers":
      throw timedOut(endpoint.shown, body.model, "headers", headerTimeoutMs);
    case "data":
      throw timedOut(endpoint.shown, body.model, "data", idleTimeoutMs);
    case "total":
      throw timedOut(endpoint.shown, body.model, "total", totalTimeoutMs);
    default:
      return;
  }

  /** At most ten names, or undefined where the endpoint does not tell. */
  async function offeredModels(): Promise<string[] | undefined> {
    if (client.models === undefined) return undefined;
    watch.start("list", LIST_MS);
    try {
      const page = await client.models.list(callOptions(controller.signal, LIST_MS));
      const data = isRecord(page) ? page["data"] : undefined;
      if (!Array.isArray(data)) return undefined;
      const names = data.flatMap((entry) => (isRecord(entry) && typeof entry["id"] === "string" ? [entry["id"]] : []));
      if (names.includes(body.model)) return undefined; // Then something else was not found.
      const listed = names.slice(0, MAX_LISTED).map((name) => oneLine(name, 80));
      return names.length > MAX_LISTED ? [...listed, `and ${names.length - MAX_LISTED} more`] : listed;
    } catch {
      return undefined;
    } finally {
      watch.rest();
    }
  }
}

interface Answer {
  readonly frames: Frames;
  readonly contentType: string | undefined;
  /** Closes the connection, where this is possible without the signal of the request. */
  readonly close: (() => void) | undefined;
}

async function send(client: ChatClient, body: ChatBody, options: CallOptions): Promise<Answer> {
  const pending = client.chat.completions.create(body, options);
  if (pending.asResponse === undefined) return answerOf(await pending, undefined);
  const response = await pending.asResponse();
  const contentType = response.headers.get("content-type") ?? undefined;
  // A `fetch` of the program's own may answer with a stream of another kind, which the SDK may know how to read.
  if (!isReadable(response.body)) return answerOf(await pending, contentType);
  const reader = response.body.getReader();
  return { frames: bodyFrames(reader), contentType, close: () => closeBody(reader) };
}

function answerOf(stream: AsyncIterable<unknown>, contentType: string | undefined): Answer {
  return { frames: streamFrames(stream), contentType, close: undefined };
}

function isReadable(body: unknown): body is { getReader(): BodyReader } {
  return isRecord(body) && typeof body["getReader"] === "function";
}

/** The SDK's own time limit lies behind ours, which also knows how the stream goes on. */
function callOptions(signal: AbortSignal, ms: number): CallOptions {
  return { signal, maxRetries: 0, timeout: ms + 1_000 };
}

/** An answer without a single frame that is not even a stream comes from something else than a chat endpoint. */
function checkContentType(contentType: string | undefined, shown: string): void {
  if (contentType === undefined || /^text\/event-stream\b/i.test(contentType)) return;
  throw new RubatoError(
    "model",
    `${shown} answered with ${oneLine(contentType, 60)} instead of a stream: check the base URL, which often ends in /v1.`,
  );
}

function isStatus(thrown: unknown, status: number): boolean {
  const failure = modelFailureOf(thrown);
  return failure.kind === "status" && failure.status === status;
}
