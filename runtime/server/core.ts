import { createTasks, type Tasks } from "../tasks.ts";
import { Connections } from "./connections.ts";
import { RunFeed } from "./feed.ts";
import { createGuard, type Guard } from "./guard.ts";
import { Metrics } from "./metrics.ts";
import type { AuthorizeRequest, ServerAction, Settings } from "./options.ts";
import { refuse, type Refusal } from "./refusal.ts";
import { ServedRuns, Working, type ServedRun } from "./served-runs.ts";

/** Who a request comes from, once it was let in. */
export interface Caller {
  readonly request: Request;
  /** For the log, where `authorize` says it. */
  readonly by: string | undefined;
}

/** What every route of one server shares. */
export class Core {
  readonly settings: Settings;
  readonly guard: Guard;
  readonly runs: ServedRuns;
  readonly connections: Connections;
  readonly metrics = new Metrics();
  readonly tasks: Tasks;
  readonly working: Working;
  /** Nothing new begins. */
  closing = false;
  private readonly feeds = new Map<string, RunFeed>();

  constructor(settings: Settings, anyAddress: boolean) {
    this.settings = settings;
    this.guard = createGuard({ ...settings, anyAddress });
    this.runs = new ServedRuns(settings.agents, settings.others);
    this.connections = new Connections(settings.limits);
    this.tasks = createTasks(Number.POSITIVE_INFINITY, {
      taskFailed: (_name, error) => {
        this.report(error);
      },
    });
    this.working = new Working(this.tasks);
    // From here on they count what they do.
    for (const agent of settings.agents) agent.metrics();
  }

  /** Of a run that somebody follows; it goes with its last follower. */
  feed({ runId, log }: ServedRun): RunFeed {
    const known = this.feeds.get(runId);
    if (known !== undefined) return known;
    const feed = new RunFeed(log, runId, this.settings.clock, () => {
      if (this.feeds.get(runId) === feed) this.feeds.delete(runId);
    });
    this.feeds.set(runId, feed);
    return feed;
  }

  /** Tells whoever runs the server. What he does with it must not break a request. */
  report(error: unknown): void {
    this.metrics.failed();
    try {
      this.settings.onError(error);
    } catch {
      // It is counted; there is nobody else to tell.
    }
  }

  /** Whether the caller may do this; who it is. */
  async authorize(request: Request, action: ServerAction, about?: About): Promise<Caller | Refusal> {
    const { authorize } = this.settings;
    if (authorize === undefined) return { request, by: undefined };
    const asked: AuthorizeRequest = { action, runId: about?.runId, agent: about?.agent };
    try {
      const answer = await authorize(request, asked);
      if (typeof answer === "object" && answer !== null) return { request, by: answer.by };
      if (answer) return { request, by: undefined };
    } catch (error) {
      this.report(error);
    }
    return refuse(403, "forbidden", "You may not do this.");
  }

  /** The run that a request is about, where its caller may do that to it. */
  async runFor(
    request: Request,
    action: ServerAction,
    runId: string,
  ): Promise<{ readonly served: ServedRun; readonly caller: Caller } | Refusal> {
    const served = await this.runs.find(runId);
    const caller = await this.authorize(request, action, { runId, agent: served?.name });
    if ("status" in caller) return caller;
    if (served === undefined) return refuse(404, "unknown_run", `There is no run "${runId.slice(0, 128)}" here.`);
    return { served, caller };
  }

  contextOf(request: Request, agent: string, runId?: string): unknown {
    return this.settings.context?.(request, { agent, ...(runId === undefined ? {} : { runId }) });
  }

  /** Why a run may not begin to work now. */
  crowded(runId?: string): Refusal | undefined {
    const { runs } = this.settings.limits;
    if (this.working.size < runs || (runId !== undefined && this.working.has(runId))) return undefined;
    return refuse(429, "too_many_runs", `${runs} runs work already. Try again when one rests.`, { "Retry-After": "5" });
  }
}

interface About {
  readonly runId?: string | undefined;
  readonly agent?: string | undefined;
}

export function shuttingDown(): Refusal {
  return refuse(503, "closing", "The server is shutting down. Try again later.", { "Retry-After": "5" });
}
