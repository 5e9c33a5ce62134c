export {
  exportSpans,
  traceAgent,
  traceIds,
  type OtelApi,
  type OtelSpan,
  type OtelSpanContext,
  type OtelTarget,
  type OtelTracer,
  type TraceAgentOptions,
  type TraceIds,
  type Tracing,
} from "./otel.ts";
export {
  TraceBuilder,
  traceOf,
  type SpanAttributes,
  type SpanEvent,
  type SpanRecord,
  type TraceOptions,
} from "./trace.ts";
export { inspectAgent, inspectLog } from "./inspect-run.ts";
export { webSocketInspector, type WebSocketInspector, type WebSocketInspectorOptions } from "./web-socket-inspector.ts";
export type { InspectOptions, XStateInspector } from "../shadow.ts";
