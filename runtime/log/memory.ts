import { isHot, isNote, type Event } from "../../machines/events.ts";
import type { Status } from "../../machines/state.ts";
import { RubatoError } from "../errors.ts";
import type { AppendBatch, EventLog, RunSummary } from "./event-log.ts";
import { packedEvents, type PackedEvents } from "./packed-events.ts";

interface StoredRun {
  epoch: number;
  readonly events: PackedEvents;
  /** Kept up to date event by event and in place, so that a list folds nothing. */
  readonly summary: { -readonly [Key in keyof RunSummary]: RunSummary[Key] };
}

/** A log that lives and dies with the process. An append is durable at once, as far as anything here is. */
export function memoryLog(): EventLog {
  const runs = new Map<string, StoredRun>();
  // The run that was written to last, which is most often the next one too: looking it up costs as much as storing a token.
  let latestId: string | undefined;
  let latest: StoredRun | undefined;

  function storedRun(runId: string): StoredRun | undefined {
    if (runId !== latestId) {
      latestId = runId;
      latest = runs.get(runId);
    }
    return latest;
  }

  function add(run: StoredRun, { epoch, events }: AppendBatch): void {
    run.epoch = epoch;
    for (const event of events) {
      run.events.append(event);
      if (!isHot(event)) note(run, event);
    }
  }

  return {
    durability: "memory",
    append(runId, batch) {
      const { epoch, events } = batch;
      const first = events[0];
      if (first === undefined) return undefined;
      const stored = storedRun(runId);
      // Nearly every batch is this one: a single event that follows.
      if (stored !== undefined && events.length === 1 && epoch === stored.epoch && follows(stored, first)) {
        stored.events.append(first);
        if (!isHot(first)) note(stored, first);
        return undefined;
      }
      if (stored === undefined) {
        if (first.seq !== 1)
          throw new RubatoError("log", `Run "${runId}" does not exist: its first event must be seq 1.`);
        checkContiguous(runId, events);
        const created: StoredRun = { epoch, events: packedEvents(), summary: emptySummary(runId, first) };
        runs.set(runId, created);
        latest = created;
        add(created, batch);
        return undefined;
      }
      if (first.seq === 1) {
        throw new RubatoError("run_exists", `A run "${runId}" exists already. Choose another runId, or open that one.`);
      }
      if (epoch < stored.epoch) {
        throw new RubatoError("log", `Run "${runId}" has a newer owner (epoch ${stored.epoch}, this one is ${epoch}).`);
      }
      if (!follows(stored, first)) {
        throw new RubatoError(
          "log",
          `Run "${runId}" is at seq ${stored.events.length}; seq ${first.seq} does not follow.`,
        );
      }
      if (events.length > 1) checkContiguous(runId, events);
      add(stored, batch);
      return undefined;
    },
    read: (runId, { after, limit }) => runs.get(runId)?.events.read(after, limit) ?? [],
    head: (runId) => runs.get(runId)?.events.length ?? 0,
    list(filter) {
      const summaries = [...runs.values()].map(({ summary, events }) => {
        const [last] = events.read(events.length - 1, 1);
        return { ...summary, seq: events.length, updatedAt: last?.timestamp ?? summary.updatedAt };
      });
      return filter?.status === undefined ? summaries : summaries.filter(({ status }) => status === filter.status);
    },
    delete(runId) {
      latestId = undefined;
      latest = undefined;
      return runs.delete(runId);
    },
  };
}

function follows({ events }: StoredRun, { seq }: Event): boolean {
  return seq === events.length + 1;
}

function checkContiguous(runId: string, events: readonly Event[]): void {
  let seq = events[0]?.seq ?? 0;
  for (const event of events) {
    if (event.seq !== seq++)
      throw new RubatoError("log", `A batch for run "${runId}" has a gap before seq ${event.seq}.`);
  }
}

function emptySummary(runId: string, { timestamp, seq }: Event): RunSummary {
  return { runId, agent: "", status: "idle", title: "", metadata: {}, createdAt: timestamp, updatedAt: timestamp, seq };
}

function note({ summary }: StoredRun, event: Event): void {
  if (event.type === "run_start") {
    summary.agent = event.data.agent.name;
    summary.metadata = event.data.metadata ?? {};
  }
  if (event.type === "user_input" && summary.title === "") summary.title = titleOf(event.data.text);
  // Said to a run at rest it begins a turn; said to one that works it waits.
  const begins = event.type === "user_input" && summary.status !== "acting";
  summary.status = begins ? "thinking" : (statusAfter(event) ?? summary.status);
}

function titleOf(text: string): string {
  const line = text.trim().split(/[\r\n\u2028\u2029]/, 1)[0] ?? "";
  if (line.length <= 80) return line.toWellFormed();
  // Not through the middle of a character: half of one is no text.
  const end = /[\uD800-\uDBFF]/.test(line.charAt(78)) ? 78 : 79;
  return `${line.slice(0, end)}…`.toWellFormed();
}

/** Read from the event alone: good enough for a list, where folding every run would cost too much. */
function statusAfter(event: Event): Status | undefined {
  if (isNote(event)) return undefined;
  switch (event.type) {
    case "done":
    case "failed":
    case "cancelled":
    case "interrupted":
      return event.type;
    case "approval_request":
      return "waiting";
    case "tool_start":
    case "tool_call":
      return "acting";
    case "thinking":
    case "resume":
    case "message":
      return "thinking";
    default:
      return undefined;
  }
}
