import { PAGE_BYTES } from "../log/event-log.ts";
import { isTerminal, type Event } from "../../machines/events.ts";
import type { Agent } from "../agent.ts";
import { checkOption, isDelay } from "../checks.ts";
import { systemClock, type Clock } from "../clock.ts";
import { RubatoError } from "../errors.ts";
import { settle, type AgentObserver } from "../observe.ts";
import type { Run } from "../run.ts";
import { exportSpans, type OtelSpan, type OtelTarget } from "./otel.ts";
import { TraceBuilder, type TraceOptions } from "./trace.ts";

/** Traces of what an agent does, until it is closed. */
export interface Tracing {
  /** Resolves when every turn that is over was given to the tracer, within the grace: a log that does not answer is waited for no longer. */
  flush(): Promise<TracingLeft>;
  /** Ends it, with {@link flush}. What could not be told by then is never told. */
  close(): Promise<TracingLeft>;
}

export interface TracingLeft {
  /** Runs whose log is still being read: their last turns were not told. */
  readonly unread: readonly string[];
}

export interface TraceAgentOptions<Span extends OtelSpan, Context> extends OtelTarget<Span, Context>, TraceOptions {
  /** Told what the tracer threw, or which log could not be read and why; the run goes on. */
  readonly onError?: (error: unknown) => unknown;
  /** How long `flush` and `close` wait for logs, ms. Default 5,000. */
  readonly graceMs?: number;
  readonly clock?: Clock;
}

/** Events that wait while the log is read, per run. A log that hangs must not fill memory. */
const MOST_WAITING = 10_000;

interface RunTrace {
  /** Undefined while the log is read, and where it could not be. */
  builder: TraceBuilder | undefined;
  /** What came while the log is read; undefined when it is not. */
  waiting: Event[] | undefined;
}

/**
 * Gives every turn of an agent's runs to a tracer when it is over. A run that is seen from its middle on (it was opened, resumed, taken over) is read
 * from the log first, so that its trace is whole.
 *
 * T1 A turn is told whole or not at all. Where the log cannot be read, `onError` hears it, the turn under way is left out, and the log is read again for
 *    the next one.
 * T2 What the tracer, a provider option or `onError` throws reaches nobody else: no run, no other turn.
 * T3 What waits for a log is bounded, and nothing waits for one longer than the grace.
 */
export function traceAgent<Span extends OtelSpan, Context>(
  agent: Pick<Agent, "observe" | "log">,
  options: TraceAgentOptions<Span, Context>,
): Tracing {
  const { onError = () => {}, graceMs = 5_000, clock = systemClock } = options;
  checkOption("graceMs", graceMs, isDelay(graceMs, 0), "milliseconds from 0 to 2147483647");
  const traces = new WeakMap<Run, RunTrace>();
  /** Logs that are read now, by the run that they are read for. */
  const reading = new Map<RunTrace, { readonly runId: string; readonly work: Promise<void> }>();
  let closed = false;

  function report(error: unknown): void {
    try {
      settle(onError(error));
    } catch {
      // There is nobody else to tell.
    }
  }

  /** T2 */
  function tell(builder: TraceBuilder, event: Event): void {
    try {
      const records = builder.take(event);
      if (records.length > 0) exportSpans(records, options);
    } catch (error) {
      report(error);
    }
  }

  /** Undefined: nobody waits for it any more. */
  async function readUntil(trace: RunTrace, runId: string, until: number): Promise<TraceBuilder | undefined> {
    const builder = new TraceBuilder(options);
    for (let after = 0; after < until;) {
      const page = await agent.log.read(runId, { after, limit: Math.min(512, until - after), bytes: PAGE_BYTES });
      if (closed || trace.waiting === undefined) return undefined;
      const last = page.at(-1);
      if (last === undefined || last.seq <= after)
        throw new RubatoError("log", `The log of run "${runId}" ends at seq ${after}, where seq ${until} is stored.`);
      // Turns that were over before are not told again.
      for (const event of page) builder.take(event);
      after = last.seq;
    }
    return builder;
  }

  async function catchUp(trace: RunTrace, run: Run, until: number): Promise<void> {
    let builder: TraceBuilder | undefined;
    try {
      builder = await readUntil(trace, run.id, until);
    } catch (error) {
      report(error);
    }
    reading.delete(trace);
    const { waiting } = trace;
    if (closed || waiting === undefined) return;
    trace.waiting = undefined;
    trace.builder = builder;
    if (builder === undefined) lost(run, waiting);
    else for (const event of waiting) tell(builder, event);
  }

  /** T1 */
  function lost(run: Run, waiting: readonly Event[]): void {
    const end = waiting.findLastIndex(isTerminal);
    if (end === -1) return;
    traces.delete(run);
    const [next, ...rest] = waiting.slice(end + 1);
    if (next !== undefined) follow(run, next, rest);
  }

  function follow(run: Run, event: Event, more: readonly Event[] = []): void {
    const trace: RunTrace = { builder: undefined, waiting: [event, ...more] };
    traces.set(run, trace);
    reading.set(trace, { runId: run.id, work: catchUp(trace, run, event.seq - 1) });
  }

  function wait(trace: RunTrace, waiting: Event[], event: Event, runId: string): void {
    if (waiting.length < MOST_WAITING) {
      waiting.push(event);
      return;
    }
    trace.waiting = undefined;
    const why = `The log of run "${runId}" was not read while ${MOST_WAITING} events came: what happens now is not traced.`;
    report(new RubatoError("log", why));
  }

  const observer: AgentObserver = {
    event(event, run) {
      const known = traces.get(run);
      if (known === undefined && event.seq === 1) {
        const builder = new TraceBuilder(options);
        traces.set(run, { builder, waiting: undefined });
        tell(builder, event);
      } else if (known === undefined) follow(run, event);
      else if (known.waiting !== undefined) wait(known, known.waiting, event, run.id);
      // T3: of a log that hangs one question is enough.
      else if (reading.has(known)) return;
      // Another process may have had the run meanwhile.
      else if (event.type === "owner") follow(run, event);
      else if (known.builder !== undefined) tell(known.builder, event);
      else if (isTerminal(event)) traces.delete(run);
    },
  };
  const stop = agent.observe(observer);

  /** T3 */
  async function flush(): Promise<TracingLeft> {
    if (reading.size === 0) return { unread: [] };
    let late = false;
    let cancel = (): void => {};
    const grace = new Promise<void>((resolve) => {
      cancel = clock.timer(graceMs, () => {
        late = true;
        resolve();
      });
    });
    while (reading.size > 0 && !late)
      await Promise.race([Promise.all([...reading.values()].map(({ work }) => work)), grace]);
    cancel();
    return { unread: [...new Set([...reading.values()].map(({ runId }) => runId))] };
  }

  return {
    flush,
    async close() {
      stop();
      const left = await flush();
      closed = true;
      for (const runId of left.unread) {
        const why = `The log of run "${runId}" did not answer within ${graceMs} ms: its last turns are not in the trace.`;
        report(new RubatoError("log", why));
      }
      return left;
    },
  };
}
