import type { Status } from "../../machines/state.ts";
import type { SubscriberStats } from "../overflow.ts";
import type { ProcessFigures } from "./process-watch.ts";
import type { Latency } from "./window.ts";

/** Since the figures were begun, and over the last minute. */
export interface Counted {
  readonly total: number;
  readonly recent: number;
}

/** Errors of one kind. */
export interface ErrorCount extends Counted {
  /** Who failed: `model`, `tool`, `log` or `background`. */
  readonly source: string;
  /** Of a model's errors; its code for others. */
  readonly class: string;
  readonly severity: string;
}

export interface SubscriberFigures extends Omit<SubscriberStats, "lastError"> {
  readonly runId: string;
}

/**
 * What the runs of one agent do, as far as this process owns them. Plain JSON. `recent` and quantiles are of the last minute (`windowMs`: less, where
 * the figures are younger), totals are since `since`.
 */
export interface AgentMetrics {
  readonly agent: string;
  /** Ms since 1970. */
  readonly since: number;
  readonly at: number;
  readonly windowMs: number;
  /** Tokens included. */
  readonly events: Counted & { readonly perSecond: number };
  /**
   * ms. `append`, `step` and `publish` are of one event in 16; `append` until it is durable, `publish` until every listener was called. `interrupt`:
   * asked to effective. `firstToken`: from a request to the first piece of its answer.
   */
  readonly latency: Readonly<Record<"append" | "step" | "publish" | "interrupt" | "firstToken", Latency>>;
  /** Who listens now, with its queue and level. */
  readonly subscribers: readonly SubscriberFigures[];
  /** Of all subscribers, those that ended included. */
  readonly delivery: Readonly<Record<"produced" | "delivered" | "merged" | "dropped" | "failed", number>>;
  readonly errors: readonly ErrorCount[];
  /** Turns by how they ended. An interrupted one is no failure. */
  readonly turns: Readonly<Record<"done" | "interrupted" | "failed" | "cancelled", Counted>>;
  /** Of the turns of the last minute that came to an end of their own, the share that failed: `failed / (done + failed)`, 0 without any. */
  readonly failureRate: number;
  /**
   * Of the requests of the last minute that failed, the share that a later attempt mended: `recovered / (recovered + failed turns)`, 1 without any.
   */
  readonly recoveryRate: number;
  readonly requests: Counted;
  readonly retries: Counted;
  /** Requests that failed and were answered in a later attempt. */
  readonly recovered: Counted;
  /** Runs that were taken over in the middle of their work. */
  readonly takeovers: Counted;
  readonly limits: Counted;
  /** By outcome. */
  readonly toolCalls: Readonly<Record<string, Counted>>;
  /** Runs that the agent holds in this process: those that work, and the last 100 that rest. */
  readonly runs: Readonly<Partial<Record<Status, number>>>;
  readonly runsStarted: Counted;
  /** `unknownRequests`: nobody told what they used; what they may have used is `estimated`. */
  readonly tokens: {
    readonly input: Counted;
    readonly output: Counted;
    readonly estimated: Counted;
    readonly unknownRequests: Counted;
  };
  /** By the agent's prices; 0 without any. */
  readonly cost: Counted;
  readonly process: ProcessFigures;
}
