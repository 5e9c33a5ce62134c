import type { Event } from "../../machines/events.ts";
import type { Agent } from "../agent.ts";
import type { AgentObserver } from "../observe.ts";
import type { Run } from "../run.ts";
import { TraceBuilder, type SpanRecord, type TraceOptions } from "./trace.ts";

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

interface SpanOptions {
  kind: number;
  startTime: HrTime;
  attributes: Attributes;
  links: { context: { traceId: string; spanId: string; traceFlags: number } }[];
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
      spanContext: { traceId: string; spanId: string; traceFlags: number; isRemote: boolean },
    ): Context;
  };
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
    if (turn[0] !== undefined && record.parentSpanId !== turn[0].spanId) {
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
    links: links.map((link) => ({ context: { ...link, traceFlags: 1 } })),
  };
  const start = (): Span => tracer.startSpan(name, options, context);
  const span = ids === undefined ? start() : ids.during(record, start);
  for (const event of record.events) span.addEvent(event.name, { ...event.attributes }, timeOf(event.time));
  if (error !== undefined) span.setStatus({ code: ERROR, message: error });
  return span;
}

function remoteContext<Span extends OtelSpan, Context>(
  { remoteParent }: SpanRecord,
  { trace, ROOT_CONTEXT }: OtelApi<Span, Context>,
): Context {
  if (remoteParent === undefined) return ROOT_CONTEXT;
  const { traceId, spanId, sampled } = remoteParent;
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: sampled ? 1 : 0, isRemote: true });
}

function timeOf(ms: number): HrTime {
  const seconds = Math.floor(ms / 1_000);
  return [seconds, Math.round((ms - seconds * 1_000) * 1e6)];
}

/** Traces of what an agent does, until it is closed. */
export interface Tracing {
  /** Resolves when every turn that is over was given to the tracer. */
  flush(): Promise<void>;
  /** Ends it, with {@link flush}. */
  close(): Promise<void>;
}

export interface TraceAgentOptions<Span extends OtelSpan, Context> extends OtelTarget<Span, Context>, TraceOptions {
  /** Told what the tracer threw, or why a log could not be read; the run goes on. */
  readonly onError?: (error: unknown) => void;
}

/**
 * Gives every turn of an agent's runs to a tracer when it is over. A run that is seen from its middle on (it was opened, resumed, taken over) is read
 * from the log first, so that its trace is whole.
 */
export function traceAgent<Span extends OtelSpan, Context>(
  agent: Pick<Agent, "observe" | "log">,
  options: TraceAgentOptions<Span, Context>,
): Tracing {
  const { onError = () => {} } = options;
  const traces = new WeakMap<Run, RunTrace>();
  /** Logs that are read now. */
  const reading = new Set<Promise<void>>();

  function hand(records: readonly SpanRecord[]): void {
    try {
      if (records.length > 0) exportSpans(records, options);
    } catch (error) {
      report(error);
    }
  }

  function report(error: unknown): void {
    try {
      onError(error);
    } catch {
      // There is nobody else to tell.
    }
  }

  async function catchUp(trace: RunTrace, runId: string, until: number): Promise<void> {
    const builder = new TraceBuilder(options);
    try {
      for (let after = 0; after < until;) {
        const page = await agent.log.read(runId, { after, limit: Math.min(512, until - after) });
        const last = page.at(-1);
        if (last === undefined) break;
        // Turns that were over before are not told again.
        for (const event of page) builder.take(event);
        after = last.seq;
      }
    } catch (error) {
      report(error);
    }
    trace.builder = builder;
    const { waiting } = trace;
    trace.waiting = undefined;
    for (const event of waiting ?? []) hand(builder.take(event));
  }

  const observer: AgentObserver = {
    event(event, run) {
      const known = traces.get(run);
      // Another process may have had the run meanwhile.
      if (known?.waiting === undefined && (event.type === "owner" || (known === undefined && event.seq > 1))) {
        const trace: RunTrace = { builder: new TraceBuilder(options), waiting: [event] };
        traces.set(run, trace);
        const work = catchUp(trace, run.id, event.seq - 1);
        reading.add(work);
        const over = (): void => {
          reading.delete(work);
        };
        work.then(over, over);
        return;
      }
      const trace = known ?? { builder: new TraceBuilder(options), waiting: undefined };
      traces.set(run, trace);
      if (trace.waiting === undefined) hand(trace.builder.take(event));
      else trace.waiting.push(event);
    },
  };
  const stop = agent.observe(observer);

  async function flush(): Promise<void> {
    while (reading.size > 0) await Promise.all(reading);
  }
  return {
    flush,
    async close() {
      stop();
      await flush();
    },
  };
}

interface RunTrace {
  builder: TraceBuilder;
  /** What came while the log is read. */
  waiting: Event[] | undefined;
}
