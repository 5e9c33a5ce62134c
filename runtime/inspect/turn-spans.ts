import type { Event } from "../../machines/events.ts";
import { readTraceparent, type TraceContext, type TraceHeaders } from "../../machines/trace-context.ts";

/** A span that is over, as plain data. */
export interface SpanRecord {
  readonly traceId: string;
  readonly spanId: string;
  /** Undefined for a turn that nobody's trace contains. */
  readonly parentSpanId: string | undefined;
  /** What a turn belongs to outside of the run. */
  readonly remoteParent: RemoteParent | undefined;
  readonly name: string;
  readonly kind: "internal" | "client";
  /** Ms since 1970. */
  readonly startTime: number;
  readonly endTime: number;
  readonly attributes: SpanAttributes;
  readonly events: readonly SpanEvent[];
  /** The turn before this one, and whoever said something in it. */
  readonly links: readonly SpanLink[];
  /** Why it failed; undefined where it did not. An interrupt is no failure. */
  readonly error: string | undefined;
}

export type RemoteParent = TraceContext & Pick<TraceHeaders, "tracestate">;

export type SpanAttributes = Readonly<Record<string, string | number | boolean | string[]>>;

export interface SpanEvent {
  readonly name: string;
  readonly time: number;
  readonly attributes: SpanAttributes;
}

export interface SpanLink {
  readonly traceId: string;
  readonly spanId: string;
  /** Of a caller: `rubato.command`, the event that recorded what it said. */
  readonly attributes?: SpanAttributes;
  readonly sampled?: boolean;
}

/** A span that is not over. */
export interface OpenSpan {
  readonly spanId: string;
  readonly name: string;
  readonly kind: SpanRecord["kind"];
  readonly startTime: number;
  readonly attributes: Record<string, string | number | boolean | string[]>;
  endTime: number | undefined;
  error: string | undefined;
}

export type Begun = Pick<OpenSpan, "spanId" | "name" | "kind" | "startTime" | "attributes">;

/** Of a turn, itself included. Of what comes later only the sums are kept. */
const MOST_SPANS = 1_000;
/** Of a span: what the SDKs of OpenTelemetry keep by default. The oldest go, as there. */
const MOST_EVENTS = 128;
const MOST_LINKS = 128;

/**
 * The spans of the turn that is under way.
 *
 * B1 However long a turn is, what is kept of it is bounded; its span says what was left out (`rubato.dropped.spans`, `.events`, `.links`).
 */
export class TurnSpans {
  readonly root: OpenSpan;
  private readonly remote: RemoteParent | undefined;
  private readonly inner: OpenSpan[] = [];
  private readonly events: SpanEvent[] = [];
  private readonly links: SpanLink[] = [];
  private readonly dropped = { spans: 0, events: 0, links: 0 };

  constructor(begun: Begun, caller: TraceHeaders | undefined) {
    this.root = { ...begun, endTime: undefined, error: undefined };
    this.remote = remoteOf(caller);
  }

  /** A span inside of the turn. One above the bound lives as others do, and is not told. */
  open(begun: Begun): OpenSpan {
    const span: OpenSpan = { ...begun, endTime: undefined, error: undefined };
    if (this.inner.length < MOST_SPANS - 1) this.inner.push(span);
    else this.dropped.spans++;
    return span;
  }

  addEvent({ type, timestamp }: Event, attributes: SpanAttributes): void {
    if (this.events.length === MOST_EVENTS) {
      this.events.shift();
      this.dropped.events++;
    }
    this.events.push({ name: `rubato.${type}`, time: timestamp, attributes });
  }

  /** Somebody said something in this turn who did not begin it. */
  linkTo(caller: TraceHeaders | undefined, { type }: Event): void {
    const remote = remoteOf(caller);
    if (remote === undefined || [this.remote, ...this.links].some((known) => isSame(known, remote))) return;
    const { traceId, spanId, sampled } = remote;
    this.link({ traceId, spanId, sampled, attributes: { "rubato.command": type } });
  }

  link(link: SpanLink): void {
    if (this.links.length < MOST_LINKS) this.links.push(link);
    else this.dropped.links++;
  }

  /** Ends what is open, the turn included. `traceId`: where nobody's trace contains it. */
  end(time: number, traceId: string): SpanRecord[] {
    const { root, inner, remote, events, links } = this;
    for (const [what, count] of Object.entries(this.dropped))
      if (count > 0) root.attributes[`rubato.dropped.${what}`] = count;
    const trace = remote?.traceId ?? traceId;
    const record = (
      { spanId, name, kind, startTime, endTime = time, attributes, error }: OpenSpan,
      own: Pick<SpanRecord, "parentSpanId" | "remoteParent" | "events" | "links">,
    ): SpanRecord => ({ traceId: trace, spanId, name, kind, startTime, endTime, attributes, error, ...own });
    return [
      record(root, { parentSpanId: remote?.spanId, remoteParent: remote, events, links }),
      ...inner.map((span) =>
        record(span, { parentSpanId: root.spanId, remoteParent: undefined, events: [], links: [] }),
      ),
    ];
  }
}

function remoteOf(caller: TraceHeaders | undefined): RemoteParent | undefined {
  const context = readTraceparent(caller?.traceparent);
  if (context === undefined) return undefined;
  return caller?.tracestate === undefined ? context : { ...context, tracestate: caller.tracestate };
}

function isSame(known: Pick<SpanLink, "traceId" | "spanId"> | undefined, { traceId, spanId }: RemoteParent): boolean {
  return known?.traceId === traceId && known.spanId === spanId;
}
