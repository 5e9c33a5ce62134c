import type { AgentMetrics } from "../metrics/agent-metrics.ts";
import { PrometheusText, writeAgents } from "../metrics/prometheus.ts";
import type { ConnectionKind } from "./connections.ts";

const KINDS: readonly ConnectionKind[] = ["sse", "ndjson", "socket", "agui", "ui"];

/** What stands where at the moment of the question. */
export interface Moment {
  readonly open: (kind: ConnectionKind) => number;
  /** Runs that work because of this server. */
  readonly working: number;
  /** Runs in the logs, by status. */
  readonly runs: ReadonlyMap<string, number>;
  readonly agents: readonly AgentMetrics[];
}

/** What a server counts of its own, beside what its agents do. Names of routes and verbs are ours, so there are few of them. */
export class Metrics {
  private readonly requests = new Map<string, { readonly route: string; readonly status: number; count: number }>();
  private readonly commands = new Map<string, { readonly verb: string; readonly accepted: boolean; count: number }>();
  private readonly opened = new Map<ConnectionKind, number>();
  private events = 0;
  private bytes = 0;
  private errors = 0;

  request(route: string, status: number): void {
    const known = this.requests.get(`${route} ${status}`) ?? { route, status, count: 0 };
    this.requests.set(`${route} ${status}`, known);
    known.count++;
  }

  command(verb: string, accepted: boolean): void {
    const known = this.commands.get(`${verb} ${accepted}`) ?? { verb, accepted, count: 0 };
    this.commands.set(`${verb} ${accepted}`, known);
    known.count++;
  }

  connection(kind: ConnectionKind): void {
    this.opened.set(kind, (this.opened.get(kind) ?? 0) + 1);
  }

  delivered(events: number, bytes: number): void {
    this.events += events;
    this.bytes += bytes;
  }

  failed(): void {
    this.errors++;
  }

  /** The same figures as JSON. */
  json({ open, working, runs, agents }: Moment) {
    return {
      agents,
      runs: Object.fromEntries(runs),
      server: {
        connections: Object.fromEntries(
          KINDS.map((kind) => [kind, { open: open(kind), opened: this.opened.get(kind) ?? 0 }]),
        ),
        requests: [...this.requests.values()],
        commands: [...this.commands.values()],
        delivered: { events: this.events, bytes: this.bytes },
        errors: this.errors,
        runsWorking: working,
      },
    };
  }

  /** The Prometheus text format, version 0.0.4. */
  text({ open, working, runs, agents }: Moment): string {
    const text = new PrometheusText();
    for (const kind of KINDS) {
      text.gauge("rubato_connections_open", "Streams and sockets that are open.", open(kind), { kind });
      const opened = this.opened.get(kind) ?? 0;
      text.counter("rubato_connections_total", "Streams and sockets that were opened.", opened, { kind });
    }
    const asked = "Requests by route and status.";
    text.family("rubato_requests_total", "counter", asked);
    for (const { route, status, count } of this.requests.values())
      text.counter("rubato_requests_total", asked, count, { route, status: String(status) });
    const commanded = "Commands by verb, and whether they were accepted.";
    text.family("rubato_commands_total", "counter", commanded);
    for (const { verb, accepted, count } of this.commands.values())
      text.counter("rubato_commands_total", commanded, count, { verb, accepted: String(accepted) });
    text.counter("rubato_events_delivered_total", "Events handed to clients.", this.events);
    text.counter("rubato_bytes_delivered_total", "Bytes of these events.", this.bytes);
    text.counter("rubato_errors_total", "Failures inside the server.", this.errors);
    text.gauge("rubato_runs_working", "Runs that work because of this server.", working);
    text.family("rubato_runs", "gauge", "Runs in the logs by status.");
    for (const [status, count] of runs) text.gauge("rubato_runs", "Runs in the logs by status.", count, { status });
    writeAgents(text, agents);
    return text.text();
  }
}
