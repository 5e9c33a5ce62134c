import { programBeside } from "../support/program.ts";
import { fork } from "node:child_process";
import { mb, ms } from "../support/format.ts";
import { compare, interleave, timed } from "../support/interleave.ts";
import { manyAgents, manyLoops, type Growth } from "../support/crowd.ts";
import type { Row } from "../support/row.ts";
import { median } from "../support/stats.ts";

const AGENTS = 500;
const STEPS = 10;
const LIMIT_MB = 160;

export const manyAgentsRow: Row = {
  name: "agents",
  title: `${AGENTS} agents x ${STEPS} steps in one process`,
  async measure({ quick }) {
    const { loop, rubato, ratio } = compare(
      await interleave(
        quick ? { rounds: 3, warmup: 1 } : { rounds: 20, warmup: 5 },
        () => timed(() => manyLoops(AGENTS, STEPS)),
        () => timed(() => manyAgents(AGENTS, STEPS)),
      ),
    );
    const times = quick ? 1 : 3;
    const ofLoops = await memory("loop", times);
    const ofAgents = await memory("rubato", times);
    return [
      {
        what: `${AGENTS} agents x ${STEPS} steps, time`,
        loop: ms(loop),
        rubato: ms(rubato),
        ratio,
        target: "<= 4 x",
        met: ratio <= 4,
      },
      {
        what: `${AGENTS} agents x ${STEPS} steps, memory of the process`,
        loop: mb(ofLoops.rss),
        rubato: mb(ofAgents.rss),
        ratio: ofAgents.rss / ofLoops.rss,
        target: `<= ${LIMIT_MB} MB`,
        met: ofAgents.rss <= LIMIT_MB * 1_048_576,
      },
      { what: "  what it grew by", loop: mb(ofLoops.rssGrowth), rubato: mb(ofAgents.rssGrowth) },
      { what: "  live heap that it grew by", loop: mb(ofLoops.heapGrowth), rubato: mb(ofAgents.heapGrowth) },
    ];
  },
};

/** Each time in a fresh process: what earlier rows left behind must not count. */
async function memory(side: "loop" | "rubato", times: number): Promise<Growth> {
  const growths: Growth[] = [];
  for (let time = 0; time < times; time++) growths.push(await inChild(side));
  return {
    rss: median(growths.map(({ rss }) => rss)),
    rssGrowth: median(growths.map(({ rssGrowth }) => rssGrowth)),
    heapGrowth: median(growths.map(({ heapGrowth }) => heapGrowth)),
  };
}

function inChild(side: "loop" | "rubato"): Promise<Growth> {
  return new Promise((resolve, reject) => {
    const program = programBeside(import.meta.url, "../support/crowd-child");
    const child = fork(program, [side, String(AGENTS), String(STEPS)]);
    child.once("message", (growth: Growth) => {
      resolve(growth);
    });
    child.once("error", reject);
    child.once("exit", (code) => {
      reject(new Error(`the process that measures memory ended with ${code} before it answered`));
    });
  });
}
