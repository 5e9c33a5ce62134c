import { refuse, type Refusal } from "./refusal.ts";
import type { EndReason } from "./protocol.ts";

export type ConnectionKind = "sse" | "ndjson" | "socket" | "agui" | "ui";

/** A stream or a socket that is open. */
export interface Connection {
  readonly kind: ConnectionKind;
  readonly runId: string;
  /** Says so, and ends. Whatever it holds is let go in this moment. */
  end(reason: EndReason): void;
  /** Ends when its client has everything that there is. */
  finish(reason: EndReason): void;
  destroy(): void;
}

/** What a connection is known by before it is open. */
export interface Place {
  readonly kind: ConnectionKind;
  readonly runId: string;
  /** A newer one of the same client on the same run replaces the older one. */
  readonly client: string | undefined;
}

/**
 * Everything that is open, and how much of it there may be.
 *
 * T1 What is open is here, and what is here is open: `enter` answers the only way out, which works once.
 */
export class Connections {
  private readonly open = new Set<Connection>();
  private readonly perRun = new Map<string, number>();
  private readonly byClient = new Map<string, Connection>();
  private readonly limits: { readonly connections: number; readonly connectionsPerRun: number };
  private readonly emptied = new Set<() => void>();

  constructor(limits: { readonly connections: number; readonly connectionsPerRun: number }) {
    this.limits = limits;
  }

  get size(): number {
    return this.open.size;
  }

  count(kind: ConnectionKind): number {
    let count = 0;
    for (const connection of this.open) if (connection.kind === kind) count++;
    return count;
  }

  /** Why there is no room. The older connection of the same client makes room. */
  refusal({ runId, client, kind }: Place): Refusal | undefined {
    const replaced = client !== undefined && this.byClient.has(keyOf(runId, client, kind)) ? 1 : 0;
    const { connections, connectionsPerRun } = this.limits;
    const full =
      this.open.size - replaced >= connections || (this.perRun.get(runId) ?? 0) - replaced >= connectionsPerRun;
    if (!full) return undefined;
    return refuse(429, "too_many_connections", "Too many streams are open. Close one, or try again later.", {
      "Retry-After": "5",
    });
  }

  /** Answers what to call when it ends. */
  enter(connection: Connection, client: string | undefined): () => void {
    const { runId, kind } = connection;
    const key = client === undefined ? undefined : keyOf(runId, client, kind);
    if (key !== undefined) this.byClient.get(key)?.end("superseded");
    this.open.add(connection);
    this.perRun.set(runId, (this.perRun.get(runId) ?? 0) + 1);
    if (key !== undefined) this.byClient.set(key, connection);
    return () => {
      if (!this.open.delete(connection)) return;
      const left = (this.perRun.get(runId) ?? 1) - 1;
      if (left === 0) this.perRun.delete(runId);
      else this.perRun.set(runId, left);
      if (key !== undefined && this.byClient.get(key) === connection) this.byClient.delete(key);
      if (this.open.size > 0) return;
      for (const wake of this.emptied) wake();
      this.emptied.clear();
    };
  }

  /** Ends all of them when they have everything that there is. Resolves when none is left. */
  finish(reason: EndReason): Promise<void> {
    for (const connection of this.open) connection.finish(reason);
    if (this.open.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.emptied.add(resolve);
    });
  }

  /** Ends those that are left, whatever they were given. */
  destroy(): void {
    for (const connection of this.open) connection.destroy();
  }
}

function keyOf(runId: string, client: string, kind: ConnectionKind): string {
  // A run id has no space.
  return `${kind} ${runId} ${client}`;
}
