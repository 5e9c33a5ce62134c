import { memoryLog, replay, stateAt, verify, type Event, type EventLog } from "rubato";
import { longEvents } from "../../support/written-log.ts";
import { mb, ms, rate } from "../support/format.ts";
import { collectGarbage, compare, interleave, timed } from "../support/interleave.ts";
import { expect, type Line, type Row } from "../support/row.ts";
import { median } from "../support/stats.ts";

const TOKENS_PER_ANSWER = 200;
const EVENTS_PER_TURN = TOKENS_PER_ANSWER + 5;

/** Reading a run again: what a visualizer, a restart and a check cost. The loop folds the same events by hand, into the texts alone. */
export const replayed: Row = {
  name: "replay",
  title: "replay of a long run, opening one",
  async measure({ quick }) {
    const count = quick ? 100_000 : 1_000_000;
    const log = await recorded(count);
    const { seq } = await log.head("r");
    const rounds = quick ? { rounds: 3, warmup: 1 } : { rounds: 5, warmup: 2 };
    const { loop, rubato, ratio } = compare(
      await interleave(
        rounds,
        () => byHand(log, seq),
        () => byReplay(log, seq),
      ),
    );
    const perSecond = (took: number): number => (seq / took) * 1_000;
    const grown = await growth(log, seq);
    const checked: number[] = [];
    for (let round = 0; round < 3; round++) checked.push(await timed(() => verified(log)));
    const opened = await opening(await recorded(100_000), quick ? 5 : 15);
    return [
      {
        what: `replay of ${count} events`,
        loop: rate(perSecond(loop)),
        rubato: rate(perSecond(rubato)),
        ratio,
        target: ">= 400 k/s",
        met: perSecond(rubato) >= 400_000,
      },
      {
        what: `heap that replaying ${count} events holds, at most`,
        loop: "",
        rubato: mb(grown),
        target: "<= 8 MB",
        met: grown <= 8 * 1_048_576,
      },
      { what: `verify of ${count} events`, loop: "", rubato: rate(perSecond(median(checked))) },
      { what: "state at the end of 100000 events, folded", loop: "", rubato: ms(opened.cold) },
      { what: "the same, 1,000 events further back, from a kept state", loop: "", rubato: ms(opened.warm) },
    ] satisfies Line[];
  },
};

async function recorded(count: number): Promise<EventLog> {
  const log = memoryLog();
  let batch: Event[] = [];
  for (const event of longEvents(Math.ceil(count / EVENTS_PER_TURN), TOKENS_PER_ANSWER)) {
    batch.push(event);
    if (batch.length < 500) continue;
    await log.append("r", { epoch: 1, events: batch });
    batch = [];
  }
  await log.append("r", { epoch: 1, events: batch });
  return log;
}

function byReplay(log: EventLog, seq: number): Promise<number> {
  return timed(async () => {
    let last = 0;
    for await (const { state } of replay(log, "r")) last = state.seq;
    expect(last === seq, `replay ended at ${last} of ${seq}`);
  });
}

function byHand(log: EventLog, seq: number): Promise<number> {
  return timed(async () => {
    const texts = new Map<string, string>();
    let cursor = 0;
    while (cursor < seq) {
      for (const event of await log.read("r", { after: cursor, limit: 1_000 })) {
        cursor = event.seq;
        if (event.type !== "token_stream") continue;
        const { messageId, text } = event.data;
        texts.set(messageId, (texts.get(messageId) ?? "") + text);
      }
    }
    expect(texts.size > 0, "the loop read nothing");
  });
}

/** The most that is alive at ten moments of a replay, above what was alive before it. */
async function growth(log: EventLog, seq: number): Promise<number> {
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  const every = Math.floor(seq / 10);
  let most = 0;
  for await (const { event } of replay(log, "r")) {
    if (event.seq % every !== 0) continue;
    collectGarbage();
    most = Math.max(most, process.memoryUsage().heapUsed - before);
  }
  return most;
}

async function verified(log: EventLog): Promise<void> {
  const found = await verify(log, "r");
  expect(found.ok, JSON.stringify(found));
}

/** Without anything kept of an earlier time, and with it. */
async function opening(log: EventLog, rounds: number): Promise<{ cold: number; warm: number }> {
  const { snapshots: _kept, ...bare } = log;
  const { seq } = await log.head("r");
  const cold: number[] = [];
  const warm: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const fresh: EventLog = { ...bare };
    cold.push(await timed(() => stateAt(fresh, "r", seq)));
    warm.push(await timed(() => stateAt(fresh, "r", seq - 1_000)));
  }
  return { cold: median(cold), warm: median(warm) };
}
