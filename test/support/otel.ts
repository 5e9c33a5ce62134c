import * as api from "@opentelemetry/api";
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { traceIds } from "rubato/inspect";

/** What the official SDK makes of spans: its own records, as plain data. */
export function otelProvider() {
  const memory = new InMemorySpanExporter();
  const ids = traceIds();
  const tracers = new BasicTracerProvider({ idGenerator: ids, spanProcessors: [new SimpleSpanProcessor(memory)] });
  const target = { tracer: tracers.getTracer("rubato"), api, ids };
  return {
    target,
    exported: async () => {
      await tracers.forceFlush();
      return memory.getFinishedSpans().map((span) => ({
        ...span.spanContext(),
        traceState: span.spanContext().traceState?.serialize(),
        parent: span.parentSpanContext?.spanId,
        name: span.name,
        kind: span.kind,
        startTime: span.startTime,
        endTime: span.endTime,
        attributes: span.attributes,
        events: span.events.map(({ name, time, attributes }) => ({ name, time, attributes })),
        links: span.links.map(({ context: { traceId, spanId }, attributes }) => ({ traceId, spanId, attributes })),
        status: span.status,
      }));
    },
  };
}
