import {
  createAgent,
  memoryLog,
  openaiModel,
  retryBucket,
  type Agent,
  type AgentOptions,
  type EventLog,
  type Outcome,
  type Run,
} from "rubato";
import type { TestServer } from "./fault-server.ts";
import { manualClock, type ManualClock } from "./manual-clock.ts";

/** Requests over real sockets, waits on a clock that the test moves. */
export interface HttpAgent {
  readonly agent: Agent;
  readonly log: EventLog;
  readonly clock: ManualClock;
}

type More = Omit<Partial<AgentOptions>, "clock"> & { readonly clock?: ManualClock };

/** An agent whose models are behind these servers, named `m1`, `m2` and so on. Of all waits it takes half of what it may; its retries are its own. */
export function httpAgent(servers: readonly Pick<TestServer, "baseURL">[], options: More = {}): HttpAgent {
  const { retry, log = memoryLog(), clock = manualClock(), ...more } = options;
  const model = servers.map(({ baseURL }, index) =>
    openaiModel({ model: `m${index + 1}`, baseURL, apiKey: "sk-test" }),
  );
  const bucket = retryBucket();
  const agent = createAgent({
    name: "http",
    model,
    random: () => 0.5,
    ...more,
    log,
    clock,
    retry: { bucket, ...retry },
  });
  return { agent, log, clock };
}

/** Lets every wait of the run pass as soon as it begins, and answers how the run came to rest. */
export async function withoutWaits(run: Run, clock: ManualClock): Promise<Outcome> {
  for await (const event of run) if (event.type === "retry") clock.advance(event.data.delayMs);
  return run.settled();
}

/** Resolves in the next wait of a run. */
export async function inBackoff(run: Run): Promise<void> {
  while (run.state.value !== "thinking.backoff" || run.durableSeq < run.state.seq) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}
