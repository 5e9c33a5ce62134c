import type { ToolContext } from "../tools/tool.ts";
import type { TraceHeaders } from "../machines/trace-context.ts";
import { LazySignal } from "./lazy-signal.ts";

type Verbs = Pick<ToolContext, "progress" | "emit" | "interrupt">;

/** What a tool is given. A class, so that all contexts have one hidden class, with one accessor for their lazy signals. */
export class CallContext<Context> extends LazySignal implements ToolContext<Context> {
  readonly runId: string;
  readonly callId: string;
  readonly attempt: number;
  readonly idempotencyKey: string;
  readonly context: Context;
  readonly answer: string | undefined;
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
  readonly progress: Verbs["progress"];
  readonly emit: Verbs["emit"];
  readonly interrupt: Verbs["interrupt"];

  constructor(
    runId: string,
    callId: string,
    attempt: number,
    key: string,
    context: Context,
    answer: string | undefined,
    trace: TraceHeaders | undefined,
    verbs: Verbs,
  ) {
    super();
    this.runId = runId;
    this.callId = callId;
    this.attempt = attempt;
    this.idempotencyKey = key;
    this.context = context;
    this.answer = answer;
    this.traceparent = trace?.traceparent;
    this.tracestate = trace?.tracestate;
    this.progress = verbs.progress;
    this.emit = verbs.emit;
    this.interrupt = verbs.interrupt;
  }
}
