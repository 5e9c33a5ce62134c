import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { inFolder, recover, startChild } from "./recover.ts";
import { SCENARIOS } from "./scenarios.ts";

const KILLS = Number(process.env["RUBATO_KILLS"] ?? 1_000);

it(`kill -9 at ${KILLS} random moments, and each run goes on in another process`, { timeout: 7_200_000 }, async () => {
  let round = 0;
  let died = 0;
  let found = 0;
  const worker = async (): Promise<void> => {
    while (round < KILLS) {
      const scenario = SCENARIOS[round++ % SCENARIOS.length] ?? "parallel";
      await inFolder(async (folder) => {
        const child = startChild(folder, scenario, ["pace", "20"]);
        await child.says("ready");
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 60));
        child.kill("SIGKILL");
        const { signal } = await child.ended;
        if (signal === "SIGKILL") died++;
        const where = `random kill ${round} of ${scenario}`;
        if (await recover(folder, scenario, where)) found++;
        else expect(existsSync(join(folder, "ledger.jsonl")), where).toBe(false);
      });
    }
  };
  await Promise.all([worker(), worker()]);
  console.log(`${KILLS} runs, ${died} killed at work, ${found} recovered from what they had stored, none lost`);
});
