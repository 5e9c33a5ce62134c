import type { Json } from "../../machines/events.ts";
import type { Message } from "../../machines/messages.ts";
import type { Status } from "../../machines/state.ts";
import { checkKeys } from "../checks.ts";
import { RubatoError } from "../errors.ts";
import type { RunSummary } from "../log/event-log.ts";
import { link } from "./backoff.ts";
import { ask } from "./http.ts";
import { newId } from "./ids.ts";
import { settingsOf, type ClientOptions } from "./options.ts";
import type { CallerOptions } from "../run.ts";
import { clientRun, type AttachOptions, type ClientRun } from "./run.ts";
import { isRecord } from "../is-record.ts";

export interface StartOptions extends CallerOptions {
  /** Its name. May be left out where the server has one agent. */
  readonly agent?: string;
  /** 1 to 128 characters of `A-Z a-z 0-9 . _ -`. Default: one that is new. */
  readonly runId?: string;
  /** What was said before. */
  readonly messages?: readonly Message[];
  readonly metadata?: Readonly<Record<string, Json>>;
  /** Stops waiting, and later closes the run here. What the server has begun goes on. */
  readonly signal?: AbortSignal;
}

export interface RunsQuery {
  readonly status?: Status;
  readonly agent?: string;
  /** Runs that have all of these. */
  readonly metadata?: Readonly<Record<string, Json>>;
  /** The newest so many, 1 to 1,000. Default 1,000. */
  readonly limit?: number;
  readonly signal?: AbortSignal;
}

/** A server of runs, from a browser or from Node. It holds nothing but what its runs hold. */
export interface Client {
  /**
   * Begins a run; resolves when its first event is stored. Rejects with {@link RubatoError}: the server's code and sentence (`unauthorized`,
   * `run_exists`, `too_many_runs` after the attempts, ...), `disconnected`, `unknown_outcome`, `aborted`, `closed`.
   */
  start(task: string, options?: StartOptions): Promise<ClientRun>;
  /** A run that exists. Nothing is asked before somebody follows it or commands it. */
  attach(runId: string, options?: AttachOptions): ClientRun;
  /** The oldest first. Rejects as `start` does. */
  runs(query?: RunsQuery): Promise<readonly RunSummary[]>;
  /** Closes every run of this client here, and what waits for an answer. The runs go on. */
  close(): void;
}

/** Throws {@link RubatoError} `invalid_option`. */
export function createClient(options: ClientOptions): Client {
  const settings = settingsOf(options);
  const held = new Set<{ close(): void }>();
  const closing = new AbortController();
  const host = { settings, held, signal: closing.signal };

  async function withSignal<T>(signal: AbortSignal | undefined, does: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    const unlink = [link(closing.signal, controller), link(signal, controller)];
    try {
      return await does(controller.signal);
    } finally {
      for (const undo of unlink) undo();
    }
  }

  function attach(runId: string, attachOptions: AttachOptions = {}): ClientRun {
    if (closing.signal.aborted) throw closedError();
    return clientRun(host, runId, attachOptions);
  }

  return {
    async start(task, startOptions = {}) {
      checkKeys("start", startOptions, [
        "agent",
        "runId",
        "messages",
        "metadata",
        "signal",
        "traceparent",
        "tracestate",
      ]);
      const { signal, ...asked } = startOptions;
      // With an id that nobody else can have it may be asked twice: the second time says that the first arrived.
      const runId = asked.runId ?? newId("run");
      const isOurs = asked.runId === undefined;
      await withSignal(signal, async (linked) => {
        try {
          await ask(settings, {
            method: "POST",
            path: "/runs",
            body: { ...asked, task, runId },
            signal: linked,
            timeoutMs: settings.commandMs,
            repeatable: isOurs,
            what: "start",
          });
        } catch (error) {
          if (!(isOurs && error instanceof RubatoError && error.code === "run_exists")) throw error;
        }
      });
      return attach(runId, signal === undefined ? {} : { signal });
    },
    attach,
    async runs(query = {}) {
      checkKeys("runs", query, ["status", "agent", "metadata", "limit", "signal"]);
      const { status, agent, metadata = {}, limit, signal } = query;
      const search = new URLSearchParams();
      for (const [name, value] of Object.entries({ status, agent, limit })) {
        if (value !== undefined) search.set(name, String(value));
      }
      for (const [name, value] of Object.entries(metadata)) {
        search.set(`metadata.${name}`, typeof value === "string" ? value : JSON.stringify(value));
      }
      const { value } = await withSignal(signal, (linked) =>
        ask(settings, {
          method: "GET",
          path: `/runs?${search.toString()}`,
          signal: linked,
          timeoutMs: settings.connectMs,
          repeatable: true,
          what: "the list of runs",
        }),
      );
      const list: unknown = isRecord(value) ? value["runs"] : undefined;
      const found: readonly unknown[] = Array.isArray(list) ? list : [undefined];
      return found.map(summaryOf);
    },
    close() {
      closing.abort(closedError());
      for (const run of held) run.close();
      held.clear();
    },
  };
}

function closedError(): RubatoError {
  return new RubatoError("closed", "The client was closed. Make a new one.");
}

function summaryOf(value: unknown): RunSummary {
  if (isSummary(value)) return value;
  throw new RubatoError("protocol", "The server answered with something that is no list of runs.");
}

function isSummary(value: unknown): value is RunSummary {
  return isRecord(value) && typeof value["runId"] === "string" && typeof value["seq"] === "number";
}
