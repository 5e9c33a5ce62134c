import { createAgent, type Run } from "rubato";
import { rate } from "../support/format.ts";
import { handWrittenLoop } from "../support/hand-written.ts";
import { sweep, timed, turn } from "../support/interleave.ts";
import { talkingModel } from "../support/models.ts";
import { expect, type Line, type Row } from "../support/row.ts";
import { median } from "../support/stats.ts";

export const tokens: Row = {
  name: "tokens",
  title: "tokens to one subscriber",
  async measure({ quick }) {
    const lines: Line[] = [];
    for (const count of [50_000, 200_000]) {
      const sides = { loop: () => byLoop(count), listener: () => byListener(count), reader: () => byReader(count) };
      const figures = await inTurn(sides, quick ? { rounds: 3, warmup: 1 } : { rounds: 25, warmup: 5 });
      const perSecond = (took: number): number => (count / took) * 1_000;
      const loop = rate(perSecond(figures.loop));
      lines.push({
        what: `${count} tokens, run.subscribe`,
        loop,
        rubato: rate(perSecond(figures.listener)),
        ratio: figures.listener / figures.loop,
        target: ">= 1 M/s",
        met: perSecond(figures.listener) >= 1e6,
      });
      lines.push({
        what: `${count} tokens, for await of run`,
        loop,
        rubato: rate(perSecond(figures.reader)),
        ratio: figures.reader / figures.loop,
      });
    }
    return lines;
  },
};

/** Three sides in turn, and the median time of each. */
async function inTurn<Side extends string>(
  sides: Readonly<Record<Side, () => Promise<number>>>,
  { rounds, warmup }: { readonly rounds: number; readonly warmup: number },
): Promise<Record<Side, number>>;
async function inTurn(
  sides: Readonly<Record<string, () => Promise<number>>>,
  { rounds, warmup }: { readonly rounds: number; readonly warmup: number },
): Promise<Record<string, number>> {
  const samples = Object.entries(sides).map(([name, side]) => ({ name, side, times: new Array<number>() }));
  for (let round = -warmup; round < rounds; round++) {
    for (const { side, times } of samples) {
      await turn();
      sweep();
      const took = await side();
      if (round >= 0) times.push(took);
    }
  }
  return Object.fromEntries(samples.map(({ name, times }) => [name, median(times)]));
}

function byLoop(count: number): Promise<number> {
  return timed(async () => {
    const messages = await handWrittenLoop(talkingModel(count), "task");
    expect(messages[1]?.content.length === count * 6, "the loop lost text");
  });
}

function byListener(count: number): Promise<number> {
  return timed(async () => {
    const run = start(count);
    let seen = 0;
    let length = 0;
    run.subscribe("token_stream", (event) => {
      seen += 1;
      length += event.data.text.length;
    });
    const { status } = await run.settled();
    expect(status === "done" && seen === count && length === count * 6, `the listener saw ${seen} of ${count} tokens`);
  });
}

function byReader(count: number): Promise<number> {
  return timed(async () => {
    let seen = 0;
    for await (const event of start(count)) if (event.type === "token_stream") seen += 1;
    expect(seen === count, `the reader saw ${seen} of ${count} tokens`);
  });
}

function start(count: number): Run {
  return createAgent({ name: "bench", model: talkingModel(count) }).run("task");
}
