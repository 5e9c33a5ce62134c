import type { AgentMetrics, Counted } from "./agent-metrics.ts";
import type { ProcessFigures } from "./process-watch.ts";
import type { Latency } from "./window.ts";

type Labels = Readonly<Record<string, string>>;
type Kind = "counter" | "gauge" | "summary";

interface Family {
  readonly kind: Kind;
  readonly help: string;
  readonly lines: string[];
}

/** Figures in the Prometheus text format, version 0.0.4: all samples of a name stand together, below its help and type. */
export class PrometheusText {
  private readonly families = new Map<string, Family>();

  counter(name: string, help: string, value: number, labels: Labels = {}): void {
    this.family(name, "counter", help).lines.push(sample(name, labels, value));
  }

  gauge(name: string, help: string, value: number, labels: Labels = {}): void {
    this.family(name, "gauge", help).lines.push(sample(name, labels, value));
  }

  /** Quantiles of the last minute, in seconds; sum and count since the beginning. */
  summary(name: string, help: string, { count, sum, p50, p90, p99, recent }: Latency, labels: Labels): void {
    const { lines } = this.family(name, "summary", help);
    const quantile = (of: string, ms: number): string =>
      sample(name, { ...labels, quantile: of }, recent === 0 ? Number.NaN : seconds(ms));
    lines.push(quantile("0.5", p50), quantile("0.9", p90), quantile("0.99", p99));
    lines.push(sample(`${name}_sum`, labels, seconds(sum)), sample(`${name}_count`, labels, count));
  }

  /** A name of which there may be no sample yet is announced all the same. */
  family(name: string, kind: Kind, help: string): Family {
    const known = this.families.get(name) ?? { kind, help, lines: [] };
    this.families.set(name, known);
    return known;
  }

  text(): string {
    return [...this.families]
      .map(([name, { kind, help, lines }]) => `# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n${lines.join("")}`)
      .join("");
  }
}

/** What the agents of a process do. */
export function writeAgents(text: PrometheusText, agents: readonly AgentMetrics[]): void {
  for (const metrics of agents) writeAgent(text, metrics);
  const [first] = agents;
  if (first !== undefined) writeProcess(text, first.process);
}

function writeAgent(text: PrometheusText, metrics: AgentMetrics): void {
  const agent = { agent: metrics.agent };
  const counter = (name: string, help: string, { total }: Counted, labels: Labels = {}): void => {
    text.counter(name, help, total, { ...agent, ...labels });
  };
  counter("rubato_events_total", "Events of runs, tokens included.", metrics.events);
  for (const [name, help] of LATENCIES)
    text.summary(`rubato_${name === "firstToken" ? "first_token" : name}_seconds`, help, metrics.latency[name], agent);
  for (const [name, help] of DELIVERY)
    text.counter(`rubato_subscriber_${name}_total`, help, metrics.delivery[name], agent);
  writeQueues(text, metrics);
  text.family("rubato_run_errors_total", "counter", "Errors of runs by source, class and severity.");
  for (const { source, class: kind, severity, total } of metrics.errors) {
    const labels = { ...agent, source, class: kind, severity };
    text.counter("rubato_run_errors_total", "Errors of runs by source, class and severity.", total, labels);
  }
  for (const [end, count] of Object.entries(metrics.turns))
    counter("rubato_turns_total", "Turns by how they ended.", count, { end });
  text.gauge(
    "rubato_failure_rate",
    "Turns that failed, of those that ended by themselves.",
    metrics.failureRate,
    agent,
  );
  text.gauge("rubato_recovery_rate", "Failed requests that a later attempt mended.", metrics.recoveryRate, agent);
  counter("rubato_model_requests_total", "Requests to models.", metrics.requests);
  counter("rubato_model_retries_total", "Requests that are made again.", metrics.retries);
  counter(
    "rubato_model_recovered_total",
    "Requests that failed and were answered in a later attempt.",
    metrics.recovered,
  );
  counter("rubato_takeovers_total", "Runs taken over in the middle of their work.", metrics.takeovers);
  counter("rubato_limits_total", "Limits that rested a run.", metrics.limits);
  text.family("rubato_tool_calls_total", "counter", "Tool calls by outcome.");
  for (const [outcome, count] of Object.entries(metrics.toolCalls))
    counter("rubato_tool_calls_total", "Tool calls by outcome.", count, { outcome });
  counter("rubato_runs_started_total", "Runs that began.", metrics.runsStarted);
  text.family("rubato_runs_held", "gauge", "Runs that this process holds, by status.");
  for (const [status, count] of Object.entries(metrics.runs))
    text.gauge("rubato_runs_held", "Runs that this process holds, by status.", count, { ...agent, status });
  const { input, output, estimated, unknownRequests } = metrics.tokens;
  counter("rubato_tokens_total", "Tokens as the provider counted them.", input, { direction: "input" });
  counter("rubato_tokens_total", "Tokens as the provider counted them.", output, { direction: "output" });
  counter("rubato_tokens_estimated_total", "Tokens of requests whose usage nobody told.", estimated);
  counter("rubato_model_usage_unknown_total", "Requests whose usage nobody told.", unknownRequests);
  counter("rubato_cost_total", "Cost by the agent's prices.", metrics.cost);
}

const LATENCIES = [
  ["append", "From handing events to the log until they are durable, of one append in 16."],
  ["step", "Deciding about one control event, of one in 16."],
  ["publish", "Calling every listener of one event, of one in 16."],
  ["interrupt", "From an interrupt until it is effective."],
  ["firstToken", "From a request to the first piece of its answer."],
] as const;

const DELIVERY = [
  ["produced", "Events told to subscribers."],
  ["delivered", "Events given to subscribers."],
  ["merged", "Events that became part of another one."],
  ["dropped", "Events that subscribers asked to drop."],
  ["failed", "Calls of listeners that failed."],
] as const;

/** By policy and level: a label for every run would be a series for every run. */
function writeQueues(text: PrometheusText, { agent, subscribers }: AgentMetrics): void {
  text.family("rubato_subscribers", "gauge", "Subscribers by policy and level of their queue.");
  const counts = new Map<string, { readonly labels: Labels; count: number }>();
  let events = 0;
  let bytes = 0;
  for (const { overflow, level, queued, queuedBytes } of subscribers) {
    const entry = counts.get(`${overflow} ${level}`) ?? { labels: { agent, overflow, level }, count: 0 };
    counts.set(`${overflow} ${level}`, entry);
    entry.count++;
    events += queued;
    bytes += queuedBytes;
  }
  for (const { labels, count } of counts.values())
    text.gauge("rubato_subscribers", "Subscribers by policy and level of their queue.", count, labels);
  text.gauge("rubato_queue_events", "Events that wait for subscribers.", events, { agent });
  text.gauge("rubato_queue_bytes", "Their bytes.", bytes, { agent });
}

function writeProcess(text: PrometheusText, { memory, cpu, eventLoopLag, uptimeMs }: ProcessFigures): void {
  for (const [kind, bytes] of Object.entries(memory))
    text.gauge("rubato_process_memory_bytes", "Memory of this process.", bytes, { kind });
  text.counter("rubato_process_cpu_seconds_total", "CPU time.", cpu.userMs / 1_000, { mode: "user" });
  text.counter("rubato_process_cpu_seconds_total", "CPU time.", cpu.systemMs / 1_000, { mode: "system" });
  text.gauge("rubato_process_cpu_ratio", "Share of one core in the last minute.", cpu.percent / 100);
  for (const [of, ms] of Object.entries(eventLoopLag))
    text.gauge("rubato_event_loop_lag_seconds", "How late timers rang in the last minute.", seconds(ms), { of });
  text.gauge("rubato_process_uptime_seconds", "Since the process began.", uptimeMs / 1_000);
}

function seconds(ms: number): number {
  return Math.round(ms * 1e4) / 1e7;
}

function sample(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([key, said]) => `${key}="${escape(said)}"`);
  return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${Number.isNaN(value) ? "NaN" : value}\n`;
}

function escape(value: string): string {
  return value.toWellFormed().replace(/\\/g, "\\\\").replace(/\n/g, "\\n").replace(/"/g, '\\"');
}
