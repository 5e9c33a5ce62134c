import type { SpanRecord } from "./turn-spans.ts";

// The parts of `@opentelemetry/api` that are used, written out: nothing here imports it, and the types of this package do not need it.

/** Seconds since 1970, and nanoseconds: what a number says depends on when the process began. */
type HrTime = [seconds: number, nanoseconds: number];
type Attributes = Record<string, string | number | boolean | string[]>;

export interface OtelSpanContext {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceFlags: number;
}

export interface OtelSpan {
  spanContext(): OtelSpanContext;
  addEvent(name: string, attributes: Attributes, time: HrTime): unknown;
  setStatus(status: { code: number; message?: string }): unknown;
  end(time: HrTime): void;
}

/** What a vendor's part of the context is read into. */
export interface OtelTraceState {
  set(key: string, value: string): OtelTraceState;
  unset(key: string): OtelTraceState;
  get(key: string): string | undefined;
  serialize(): string;
}

interface SpanOptions {
  kind: number;
  startTime: HrTime;
  attributes: Attributes;
  links: { context: { traceId: string; spanId: string; traceFlags: number }; attributes?: Attributes }[];
}

export interface OtelTracer<Span extends OtelSpan, Context> {
  startSpan(name: string, options: SpanOptions, context: Context): Span;
}

/** `import * as api from "@opentelemetry/api"` is one. */
export interface OtelApi<Span extends OtelSpan, Context> {
  readonly ROOT_CONTEXT: Context;
  readonly trace: {
    setSpan(context: Context, span: Span): Context;
    setSpanContext(
      context: Context,
      spanContext: {
        traceId: string;
        spanId: string;
        traceFlags: number;
        isRemote: boolean;
        traceState?: OtelTraceState;
      },
    ): Context;
  };
  /** Where it is missing a caller's `tracestate` does not reach the spans. */
  createTraceState?(tracestate: string): OtelTraceState;
}

export interface OtelTarget<Span extends OtelSpan, Context> {
  readonly tracer: OtelTracer<Span, Context>;
  readonly api: OtelApi<Span, Context>;
  /** What the provider of the tracer makes ids with: then they are those of the records, and what went out as `traceparent` finds its span. */
  readonly ids?: TraceIds;
}

const INTERNAL = 0;
const CLIENT = 2;
const ERROR = 2;

/**
 * Ids for spans of rubato's, to be given to a tracer provider as its `idGenerator`. Everybody else's are random, as ever.
 */
export interface TraceIds {
  generateTraceId(): string;
  generateSpanId(): string;
  /** What the work begins has these ids. */
  during<T>(ids: Pick<SpanRecord, "traceId" | "spanId">, work: () => T): T;
}

export function traceIds(): TraceIds {
  let given: Pick<SpanRecord, "traceId" | "spanId"> | undefined;
  return {
    generateTraceId: () => given?.traceId ?? random(16),
    generateSpanId: () => given?.spanId ?? random(8),
    during(ids, work) {
      given = ids;
      try {
        return work();
      } finally {
        given = undefined;
      }
    },
  };
}

function random(bytes: number): string {
  const drawn = crypto.getRandomValues(new Uint8Array(bytes));
  return Array.from(drawn, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Gives spans to a tracer, turn by turn, as {@link traceOf} answers them. */
export function exportSpans<Span extends OtelSpan, Context>(
  records: readonly SpanRecord[],
  target: OtelTarget<Span, Context>,
): void {
  let turn: SpanRecord[] = [];
  for (const record of records) {
    // A turn may have another one as its caller's span.
    if (turn[0] !== undefined && (record.remoteParent !== undefined || record.parentSpanId !== turn[0].spanId)) {
      exportTurn(turn, target);
      turn = [];
    }
    turn.push(record);
  }
  exportTurn(turn, target);
}

function exportTurn<Span extends OtelSpan, Context>(
  turn: readonly SpanRecord[],
  target: OtelTarget<Span, Context>,
): void {
  const [first, ...rest] = turn;
  if (first === undefined) return;
  const root = begin(first, remoteContext(first, target.api), target);
  const inside = target.api.trace.setSpan(target.api.ROOT_CONTEXT, root);
  // Inner ones end first.
  for (const record of rest) begin(record, inside, target).end(timeOf(record.endTime));
  root.end(timeOf(first.endTime));
}

function begin<Span extends OtelSpan, Context>(
  record: SpanRecord,
  context: Context,
  { tracer, ids }: OtelTarget<Span, Context>,
): Span {
  const { name, kind, attributes, links, error } = record;
  const options: SpanOptions = {
    kind: kind === "client" ? CLIENT : INTERNAL,
    startTime: timeOf(record.startTime),
    attributes: { ...attributes },
    links: links.map(({ traceId, spanId, sampled = true, attributes: said }) => ({
      context: { traceId, spanId, traceFlags: sampled ? 1 : 0 },
      ...(said === undefined ? {} : { attributes: { ...said } }),
    })),
  };
  const start = (): Span => tracer.startSpan(name, options, context);
  const span = ids === undefined ? start() : ids.during(record, start);
  for (const event of record.events) span.addEvent(event.name, { ...event.attributes }, timeOf(event.time));
  if (error !== undefined) span.setStatus({ code: ERROR, message: error });
  return span;
}

function remoteContext<Span extends OtelSpan, Context>(
  { remoteParent }: SpanRecord,
  api: OtelApi<Span, Context>,
): Context {
  const { trace, ROOT_CONTEXT } = api;
  if (remoteParent === undefined) return ROOT_CONTEXT;
  const { traceId, spanId, sampled, tracestate } = remoteParent;
  const traceState = tracestate === undefined ? undefined : api.createTraceState?.(tracestate);
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId,
    spanId,
    traceFlags: sampled ? 1 : 0,
    isRemote: true,
    ...(traceState === undefined ? {} : { traceState }),
  });
}

function timeOf(ms: number): HrTime {
  const seconds = Math.floor(ms / 1_000);
  return [seconds, Math.round((ms - seconds * 1_000) * 1e6)];
}
