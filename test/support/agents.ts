import { createAgent, type Agent, type AgentOptions, type Run } from "rubato";
import type { Event, EventOf, EventType } from "rubato/machines";
import type { EventLog } from "../../runtime/log/event-log.ts";
import { memoryLog } from "../../runtime/log/memory.ts";
import { stored } from "./logs.ts";
import { manualClock, type ManualClock } from "./manual-clock.ts";

export interface TestAgent {
  readonly agent: Agent;
  readonly log: EventLog;
  readonly clock: ManualClock;
}

/** An agent on a memory log and a manual clock. A failure is final unless the test says otherwise. */
export function testAgent(options: Omit<AgentOptions, "name"> & { readonly name?: string }): TestAgent {
  const log = options.log ?? memoryLog();
  const clock = manualClock();
  return { agent: createAgent({ name: "test", clock, retry: { retries: 0 }, ...options, log }), log, clock };
}

/** Resolves with the first event of a type that is published from now on, or that happened already. */
export async function until<Type extends EventType>(
  run: Run,
  type: Type,
  matches: (event: EventOf<Type>) => boolean = () => true,
): Promise<EventOf<Type>> {
  for await (const event of run.events({ follow: true })) {
    if (isOf(event, type) && matches(event)) return event;
  }
  throw new Error(`the run ended without ${type}`);
}

function isOf<Type extends EventType>(event: Event, type: Type): event is EventOf<Type> {
  return event.type === type;
}

export async function eventsOf<Type extends EventType>(log: EventLog, run: Run, type: Type): Promise<EventOf<Type>[]> {
  const found: EventOf<Type>[] = [];
  for (const event of await stored(log, run.id)) if (isOf(event, type)) found.push(event);
  return found;
}

/** A promise that the test settles. */
export function deferred<T = void>(): {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
} {
  let resolve: (value: T) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

/** Lets everything that is due without time passing happen. */
export async function quiet(): Promise<void> {
  await new Promise<void>((resolve) => {
    setImmediate(resolve);
  });
}
