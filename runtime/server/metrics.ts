import type { ConnectionKind } from "./connections.ts";

const KINDS: readonly ConnectionKind[] = ["sse", "ndjson", "socket", "agui", "ui"];

/** What a server counts. Names of routes and verbs are ours, so there are few of them. */
export class Metrics {
  private readonly requests = new Map<string, number>();
  private readonly commands = new Map<string, number>();
  private readonly opened = new Map<ConnectionKind, number>();
  private events = 0;
  private bytes = 0;
  private errors = 0;

  request(route: string, status: number): void {
    add(this.requests, labels({ route, status: String(status) }));
  }

  command(verb: string, accepted: boolean): void {
    add(this.commands, labels({ verb, accepted: String(accepted) }));
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

  /** The Prometheus text format, version 0.0.4. */
  text(now: {
    readonly open: (kind: ConnectionKind) => number;
    readonly working: number;
    readonly runs: ReadonlyMap<string, number>;
  }): string {
    const open = new Map(KINDS.map((kind) => [labels({ kind }), now.open(kind)]));
    const opened = new Map(KINDS.map((kind) => [labels({ kind }), this.opened.get(kind) ?? 0]));
    const runs = new Map([...now.runs].map(([status, count]) => [labels({ status }), count]));
    return [
      metric("rubato_connections_open", "gauge", "Streams and sockets that are open.", open),
      metric("rubato_connections_total", "counter", "Streams and sockets that were opened.", opened),
      metric("rubato_requests_total", "counter", "Requests by route and status.", this.requests),
      metric("rubato_commands_total", "counter", "Commands by verb, and whether they were accepted.", this.commands),
      metric("rubato_events_delivered_total", "counter", "Events handed to clients.", new Map([["", this.events]])),
      metric("rubato_bytes_delivered_total", "counter", "Bytes of these events.", new Map([["", this.bytes]])),
      metric("rubato_errors_total", "counter", "Failures inside the server.", new Map([["", this.errors]])),
      metric("rubato_runs_working", "gauge", "Runs that work because of this server.", new Map([["", now.working]])),
      metric("rubato_runs", "gauge", "Runs in the logs by status.", runs),
    ].join("");
  }
}

function add(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** None of the values holds a quote, a backslash or a line break: they are routes, verbs, states and numbers. */
function labels(pairs: Readonly<Record<string, string>>): string {
  return `{${Object.entries(pairs)
    .map(([name, value]) => `${name}="${value}"`)
    .join(",")}}`;
}

function metric(name: string, type: "gauge" | "counter", help: string, values: ReadonlyMap<string, number>): string {
  const lines = [...values].map(([key, value]) => `${name}${key} ${value}\n`);
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}
