import { setImmediate as turn } from "node:timers/promises";
import { createAgent, type Clock, type EventLog, type Overflow, type SubscriberStats } from "rubato";
import { countedModel } from "./counted-model.ts";

/** Tokens for each one that the consumer takes. */
const PACE = 100;

export interface Crawl {
  readonly overflow: Overflow | undefined;
  readonly turns: number;
  readonly tokensPerTurn: number;
  readonly log: EventLog;
  readonly clock: Clock;
  readonly batches?: boolean;
  /** Called after each turn of the run. */
  readonly onTurn?: (stats: SubscriberStats | undefined) => void;
}

/**
 * A run of many tokens, and a consumer that takes one event in each turn of the event loop, in which the model makes a hundred tokens. Without a
 * policy there is no consumer. Answers how the consumer stood when the last token was told.
 */
export async function crawl(
  options: Crawl,
): Promise<{ readonly stats: SubscriberStats | undefined; readonly seq: number }> {
  const { overflow, turns, tokensPerTurn, log, clock, batches = false, onTurn = () => {} } = options;
  const agent = createAgent({ name: "a", model: countedModel(tokensPerTurn, { every: PACE }), log, clock });
  const run = agent.run("go");
  const ending = new AbortController();
  let off = (): void => {};
  let reading: Promise<void> | undefined;
  if (overflow !== undefined) {
    if (batches) {
      reading = (async () => {
        const { signal } = ending;
        for await (const batch of run.batches({ overflow, signal, follow: true })) {
          for (let event = 0; event < batch.length && !signal.aborted; event++) await turn();
        }
      })();
    } else off = run.subscribe("*", () => turn(), { overflow });
  }
  const stats = (): SubscriberStats | undefined => run.stats().subscribers[0];
  for (let left = turns; left > 0; left--) {
    await run.settled();
    onTurn(stats());
    if (left > 1) await run.send("more");
  }
  const last = stats();
  const { seq } = run.state;
  off();
  ending.abort();
  // Cut off as too slow, where it chose that.
  await reading?.catch(() => {});
  await agent.close();
  return { stats: last, seq };
}
