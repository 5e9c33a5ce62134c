import { randomUUID } from "node:crypto";
import type { Json } from "../../machines/events.ts";
import type { Inbox, PostedCommand } from "./event-log.ts";
import { Watchers } from "./watchers.ts";

interface Posted {
  readonly runId: string;
  readonly command: Json;
  taken: boolean;
  answer: Json | undefined;
}

/** Which owner is the newest. */
interface Epochs {
  epochOf(runId: string): number;
}

/** Commands between the agents of one process. */
export function memoryInbox(epochs: Epochs): Inbox {
  return new MemoryInbox(epochs);
}

/** A class whose map is made for the first command: every agent without a log of its own has one of these, and most are sent nothing. */
class MemoryInbox implements Inbox {
  private readonly epochs: Epochs;
  private readonly watching = new Watchers();
  private commands: Map<string, Posted> | undefined;

  constructor(epochs: Epochs) {
    this.epochs = epochs;
  }

  post(runId: string, command: Json): string {
    const id = randomUUID();
    this.commands ??= new Map();
    this.commands.set(id, { runId, command, taken: false, answer: undefined });
    this.watching.wake(runId);
    return id;
  }

  take(runId: string, epoch: number): PostedCommand[] {
    if (this.commands === undefined || epoch !== this.epochs.epochOf(runId)) return [];
    const waiting = [...this.commands].filter(([, posted]) => posted.runId === runId && !posted.taken);
    return waiting.map(([id, posted]) => {
      posted.taken = true;
      return { id, command: posted.command };
    });
  }

  answer(runId: string, id: string, answer: Json): void {
    const posted = this.commands?.get(id);
    if (posted?.runId !== runId || !posted.taken) return;
    posted.answer = answer;
    this.watching.wake(runId);
  }

  answered(runId: string, id: string): Json | undefined {
    const posted = this.commands?.get(id);
    if (posted?.runId !== runId || posted.answer === undefined) return undefined;
    this.commands?.delete(id);
    return posted.answer;
  }

  withdraw(runId: string, id: string): boolean {
    const posted = this.commands?.get(id);
    if (posted?.runId !== runId || posted.taken) return false;
    return this.commands?.delete(id) ?? false;
  }

  watch(runId: string, onChange: () => void): () => void {
    return this.watching.watch(runId, onChange);
  }
}
