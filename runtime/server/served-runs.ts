import type { Status } from "../../machines/state.ts";
import { titleOf } from "../log/summary.ts";
import { stateAt } from "../state-at.ts";
import { isRunId, type EventLog, type LogHead, type RunSummary } from "../log/event-log.ts";
import type { Run } from "../run.ts";
import type { Tasks } from "../tasks.ts";
import type { ServedAgent } from "./options.ts";

/** A run that is served, and whose it is. */
export interface ServedRun {
  readonly runId: string;
  /** Of the agent that began it. */
  readonly name: string;
  /** That agent, or for a run of another one an agent with the same log. */
  readonly agent: ServedAgent;
  readonly log: EventLog;
  readonly head: LogHead;
}

/** Runs by id over all agents. */
export class ServedRuns {
  private readonly agents: readonly ServedAgent[];
  private readonly logs: readonly EventLog[];
  private readonly others: boolean;

  /** `others`: what other agents began counts too. */
  constructor(agents: readonly ServedAgent[], others: boolean) {
    this.agents = agents;
    this.others = others;
    this.logs = [...new Set(agents.map(({ log }) => log))];
  }

  /** The run, where one of the agents began it, or others count: what else lies in their logs does not exist here. */
  async find(runId: string): Promise<ServedRun | undefined> {
    if (!isRunId(runId)) return undefined;
    for (const log of this.logs) {
      const head = await log.head(runId);
      if (head.seq === 0) continue;
      const [first] = await log.read(runId, { after: 0, limit: 1 });
      if (first?.type !== "run_start") continue;
      const { name } = first.data.agent;
      const here = this.agents.filter((one) => one.log === log);
      const agent = here.find((one) => one.name === name) ?? (this.others ? here[0] : undefined);
      if (agent !== undefined) return { runId, name, agent, log, head };
    }
    return undefined;
  }

  /** Whether every log can be read. Rejects with what is wrong with one. */
  async answer(): Promise<boolean> {
    // A run that there is not: nothing has to be read for it but that.
    for (const log of this.logs) await log.head("health");
    return true;
  }

  /** All of them, the oldest first. */
  async list(status: Status | undefined, name: string | undefined): Promise<RunSummary[]> {
    const filter = status === undefined ? {} : { status };
    const asked = this.agents.filter((agent) => name === undefined || agent.name === name);
    const lists = await Promise.all(
      this.others ? this.logs.map(async (log) => log.list(filter)) : asked.map((agent) => agent.runs(filter)),
    );
    const all = lists.flat().sort((a, b) => a.createdAt - b.createdAt);
    return this.others && name !== undefined ? all.filter(({ agent }) => agent === name) : all;
  }
}

/** What a list says about a run, of this one alone. The status is that of its state, where a list only estimates it. */
export async function summaryOf({ runId, name, log, head }: ServedRun): Promise<RunSummary> {
  const state = await stateAt(log, runId, head.seq);
  const [first, second] = await log.read(runId, { after: 0, limit: 2 });
  const [last] = await log.read(runId, { after: head.seq - 1, limit: 1 });
  const createdAt = first?.timestamp ?? 0;
  return {
    runId,
    agent: name,
    status: state.status,
    title: second?.type === "user_input" ? titleOf(second.data.text) : "",
    metadata: state.core.start?.metadata ?? {},
    createdAt,
    updatedAt: last?.timestamp ?? createdAt,
    seq: head.seq,
    owned: head.owned,
  };
}

/** Notes after the end are few and may be large: a look at the last two events nearly always says it, else at four times as many, up to this. */
const MOST = 64;

/** Whether a run is over for good, from its last events alone. */
export async function isCancelled(log: EventLog, runId: string, head: number): Promise<boolean> {
  for (let end = head, look = 2; end > 0; end -= look, look = Math.min(MOST, look * 4)) {
    const after = Math.max(0, end - look);
    const page = await log.read(runId, { after, limit: end - after });
    for (const event of page.toReversed()) {
      if (event.type === "cancelled") return true;
      // Nothing but notes comes after it.
      const note = event.type === "custom" || event.type === "error" || event.type === "tool_result";
      if (!note) return false;
    }
  }
  return false;
}

/**
 * The runs that work because of this server, each waited for once.
 *
 * W1 One promise per run, however many clients wait for its rest: a client that leaves takes its callback with it.
 */
export class Working {
  private readonly runs = new Map<string, Waiting>();
  private readonly tasks: Tasks;
  /** Runs that this server had begin. */
  size = 0;

  constructor(tasks: Tasks) {
    this.tasks = tasks;
  }

  /** Whether this server had it begin, and it still works. */
  has(runId: string): boolean {
    return this.runs.get(runId)?.counts === true;
  }

  /** Counts a run until it rests. */
  track(run: Run): void {
    const waiting = this.wait(run);
    if (waiting.counts) return;
    waiting.counts = true;
    this.size++;
  }

  /** Calls back once when it rests, with the seq where it does. Answers the undo. */
  onRest(run: Run, callback: (seq: number) => void): () => void {
    const { callbacks } = this.wait(run);
    callbacks.add(callback);
    return () => {
      callbacks.delete(callback);
    };
  }

  private wait(run: Run): Waiting {
    const known = this.runs.get(run.id);
    if (known !== undefined) return known;
    const waiting: Waiting = { callbacks: new Set(), counts: false };
    this.runs.set(run.id, waiting);
    this.tasks.adopt(
      "waiting for a run to rest",
      run.settled().then(({ seq }) => {
        this.runs.delete(run.id);
        if (waiting.counts) this.size--;
        for (const onRest of waiting.callbacks) onRest(seq);
      }),
    );
    return waiting;
  }
}

interface Waiting {
  readonly callbacks: Set<(seq: number) => void>;
  counts: boolean;
}
