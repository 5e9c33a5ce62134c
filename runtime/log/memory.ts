import { isNote, type Event } from "../../machines/events.ts";
import type { Status } from "../../machines/state.ts";
import { RubatoError } from "../errors.ts";
import type { EventLog, RunSummary } from "./event-log.ts";

interface StoredRun {
  epoch: number;
  readonly events: Event[];
}

/** A log that lives and dies with the process. An append is durable at once, as far as anything here is. */
export function memoryLog(): EventLog {
  const runs = new Map<string, StoredRun>();
  return {
    durability: "memory",
    append(runId, { epoch, events }) {
      const [first] = events;
      if (first === undefined) return undefined;
      const stored = runs.get(runId);
      if (stored === undefined) {
        if (first.seq !== 1)
          throw new RubatoError("log", `Run "${runId}" does not exist: its first event must be seq 1.`);
        runs.set(runId, { epoch, events: [...events] });
        return undefined;
      }
      if (first.seq === 1) {
        throw new RubatoError("run_exists", `A run "${runId}" exists already. Choose another runId, or open that one.`);
      }
      if (epoch < stored.epoch) {
        throw new RubatoError("log", `Run "${runId}" has a newer owner (epoch ${stored.epoch}, this one is ${epoch}).`);
      }
      if (first.seq !== stored.events.length + 1) {
        throw new RubatoError(
          "log",
          `Run "${runId}" is at seq ${stored.events.length}; seq ${first.seq} does not follow.`,
        );
      }
      stored.epoch = epoch;
      for (const event of events) stored.events.push(event);
      return undefined;
    },
    read: (runId, { after, limit }) => runs.get(runId)?.events.slice(after, after + limit) ?? [],
    head: (runId) => runs.get(runId)?.events.length ?? 0,
    list(filter) {
      const summaries = [...runs].map(([runId, { events }]) => summarize(runId, events));
      return filter?.status === undefined ? summaries : summaries.filter(({ status }) => status === filter.status);
    },
    delete: (runId) => runs.delete(runId),
  };
}

function summarize(runId: string, events: readonly Event[]): RunSummary {
  const [start] = events;
  const last = events.at(-1);
  const input = events.find((event) => event.type === "user_input");
  const data = start?.type === "run_start" ? start.data : undefined;
  return {
    runId,
    agent: data?.agent.name ?? "",
    status: lastStatus(events),
    title: input?.type === "user_input" ? titleOf(input.data.text) : "",
    metadata: data?.metadata ?? {},
    createdAt: start?.timestamp ?? 0,
    updatedAt: last?.timestamp ?? 0,
    seq: last?.seq ?? 0,
  };
}

function titleOf(text: string): string {
  const line = text.trim().split("\n", 1)[0] ?? "";
  return line.length > 80 ? `${line.slice(0, 79)}…` : line;
}

/** Read from the last control event: good enough for a list, where folding every run would cost too much. */
function lastStatus(events: readonly Event[]): Status {
  for (let index = events.length - 1; index >= 0; index--) {
    const event = events[index];
    if (event === undefined || isNote(event)) continue;
    const { type } = event;
    switch (type) {
      case "done":
      case "failed":
      case "cancelled":
      case "interrupted":
        return type;
      case "approval_request":
        return "waiting";
      case "tool_start":
      case "tool_call":
      case "tool_progress":
        return "acting";
      case "thinking":
      case "token_stream":
      case "tool_call_delta":
      case "resume":
      case "user_input":
      case "tool_result":
      case "message":
        return "thinking";
      default:
        break;
    }
  }
  return "idle";
}
