import { randomUUID } from "node:crypto";
import type { Json } from "../../machines/events.ts";
import type { Inbox } from "./event-log.ts";
import { watchers } from "./watchers.ts";

interface Posted {
  readonly runId: string;
  readonly command: Json;
  taken: boolean;
  answer: Json | undefined;
}

/** Commands between the agents of one process. */
export function memoryInbox(newestEpoch: (runId: string) => number): Inbox {
  const commands = new Map<string, Posted>();
  const watching = watchers();
  return {
    post(runId, command) {
      const id = randomUUID();
      commands.set(id, { runId, command, taken: false, answer: undefined });
      watching.wake(runId);
      return id;
    },
    take(runId, epoch) {
      if (epoch !== newestEpoch(runId)) return [];
      const waiting = [...commands].filter(([, posted]) => posted.runId === runId && !posted.taken);
      return waiting.map(([id, posted]) => {
        posted.taken = true;
        return { id, command: posted.command };
      });
    },
    answer(runId, id, answer) {
      const posted = commands.get(id);
      if (posted?.runId !== runId || !posted.taken) return;
      posted.answer = answer;
      watching.wake(runId);
    },
    answered(runId, id) {
      const posted = commands.get(id);
      if (posted?.runId !== runId || posted.answer === undefined) return undefined;
      commands.delete(id);
      return posted.answer;
    },
    withdraw(runId, id) {
      const posted = commands.get(id);
      if (posted?.runId !== runId || posted.taken) return false;
      return commands.delete(id);
    },
    watch: watching.watch,
  };
}
