export {
  exportSpans,
  traceIds,
  type OtelApi,
  type OtelSpan,
  type OtelSpanContext,
  type OtelTarget,
  type OtelTracer,
  type OtelTraceState,
  type TraceIds,
} from "./otel.ts";
export { traceAgent, type TraceAgentOptions, type Tracing, type TracingLeft } from "./trace-agent.ts";
export { TraceBuilder, traceOf, type TraceOptions } from "./trace.ts";
export type { RemoteParent, SpanAttributes, SpanEvent, SpanLink, SpanRecord } from "./turn-spans.ts";
export { inspectAgent, inspectLog } from "./inspect-run.ts";
export { webSocketInspector, type WebSocketInspector, type WebSocketInspectorOptions } from "./web-socket-inspector.ts";
export type { InspectOptions, XStateInspector } from "../shadow.ts";
