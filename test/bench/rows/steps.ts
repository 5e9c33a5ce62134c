import { createAgent } from "rubato";
import { us } from "../support/format.ts";
import { handWrittenLoop } from "../support/hand-written.ts";
import { compare, interleave, timed, turn, type InterleaveOptions } from "../support/interleave.ts";
import { steppingModel } from "../support/models.ts";
import { expect, type Line, type Row } from "../support/row.ts";
import { weatherTool } from "../support/weather.ts";

/** A sample is about this many steps, however many runs that makes: a short one would measure the clock. */
const STEPS_PER_SAMPLE = 1_600;

export const steps: Row = {
  name: "steps",
  title: "one step: 20 tokens, 1 tool call",
  async measure({ quick }) {
    const lines: Line[] = [];
    for (const length of [50, 200, 800]) {
      const { loop, rubato, ratio } = compare(
        await interleave(
          roundsOf(quick),
          () => perStep(length, loopOnce),
          () => perStep(length, rubatoOnce),
        ),
      );
      lines.push({
        what: `one step, run of ${length} steps`,
        loop: us(loop),
        rubato: us(rubato),
        ratio,
        target: "<= 5 x (stretch 3 x)",
        met: ratio <= 5,
      });
    }
    // Measured in turn, as all pairs are: the machine of the one may be faster than that of the other.
    const { rubato, ratio: growth } = compare(
      await interleave(
        roundsOf(quick),
        () => perStep(50, rubatoOnce),
        () => perStep(800, rubatoOnce),
      ),
    );
    lines.push({
      what: "one step of 800 against one of 50",
      loop: "",
      rubato: us(rubato),
      ratio: growth,
      target: "<= 1.6 x",
      met: growth <= 1.6,
    });
    return lines;
  },
};

function roundsOf(quick: boolean): InterleaveOptions {
  return quick ? { rounds: 5, warmup: 3 } : { rounds: 60, warmup: 15 };
}

async function perStep(length: number, once: (length: number) => Promise<void>): Promise<number> {
  const runs = Math.max(1, Math.round(STEPS_PER_SAMPLE / length));
  let took = 0;
  for (let run = 0; run < runs; run++) {
    took += await timed(() => once(length));
    await turn();
  }
  return took / (runs * length);
}

async function loopOnce(length: number): Promise<void> {
  const messages = await handWrittenLoop(steppingModel(length), "task");
  expect(messages.length === 2 * length + 2, `the loop made ${messages.length} messages in ${length} steps`);
}

async function rubatoOnce(length: number): Promise<void> {
  const agent = createAgent({
    name: "bench",
    model: steppingModel(length),
    tools: [weatherTool],
    maxSteps: length + 1,
  });
  const { status, steps: made } = await agent.run("task").settled();
  expect(status === "done" && made === length + 1, `a run of ${length} steps ended as ${status} after ${made}`);
}
