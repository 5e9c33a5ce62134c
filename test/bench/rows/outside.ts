import { fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAgent, fileLog } from "rubato";
import { ms } from "../support/format.ts";
import { talkingModel } from "../support/models.ts";
import { programBeside } from "../support/program.ts";
import { expect, type Line, type Row } from "../support/row.ts";
import { percentile } from "../support/stats.ts";

const RUNS = 4;
const LIMIT_MS = 250;

/** Commands to runs that another process owns, through files: from the call to the owner's answer that it is effective. */
export const outside: Row = {
  name: "outside",
  title: "commands from another process",
  async measure({ quick }) {
    const folder = mkdtempSync(join(tmpdir(), "rubato-bench-"));
    const child = fork(programBeside(import.meta.url, "../support/outside-child"), [folder, String(RUNS)]);
    const agent = createAgent({ name: "bench", model: talkingModel(1), log: fileLog(folder), maxSteps: 1_000 });
    const interrupts: number[] = [];
    const redirects: number[] = [];
    try {
      await new Promise((resolve) => child.once("message", resolve));
      const runs = await Promise.all(Array.from({ length: RUNS }, (_, index) => agent.open(`r${index}`)));
      for (let round = 0; round < (quick ? 5 : 100); round++) {
        for (const run of runs) {
          let start = performance.now();
          const redirected = await run.send(`and now ${round}`, { when: "now" });
          redirects.push(performance.now() - start);
          expect(redirected.accepted, `a redirect from outside answered ${JSON.stringify(redirected)}`);
          await new Promise((resolve) => setTimeout(resolve, Math.random() * 5));
          start = performance.now();
          const stopped = await run.interrupt("bench", { mode: "now" });
          interrupts.push(performance.now() - start);
          expect(
            stopped.accepted && stopped.effective,
            `an interrupt from outside answered ${JSON.stringify(stopped)}`,
          );
          const resumed = await run.resume();
          expect(resumed.accepted, `a resume from outside answered ${JSON.stringify(resumed)}`);
        }
      }
    } finally {
      await agent.close();
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.send("end");
      await gone;
      rmSync(folder, { recursive: true, force: true });
    }
    return [
      line("interrupt from another process, effective", interrupts),
      line("redirect from another process, recorded", redirects),
    ].flat();
  },
};

function line(what: string, samples: readonly number[]): Line[] {
  const p99 = percentile(samples, 0.99);
  return [
    { what: `${what}, p99`, loop: "", rubato: ms(p99), target: `<= ${LIMIT_MS} ms`, met: p99 <= LIMIT_MS },
    { what: "  median", loop: "", rubato: ms(percentile(samples, 0.5)) },
  ];
}
