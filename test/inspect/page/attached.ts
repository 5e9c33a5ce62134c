import type { Browser } from "playwright-core";
import { createAgent, type ChatModel } from "rubato";
import { serve } from "rubato/server";

const TOKENS = 300;
const EVERY_MS = 10;
const ROUNDS = 3;

/** 100 tokens a second, each of which waits for the one before: what holds one up holds up all that follow. */
function pacedModel(): ChatModel {
  return {
    name: "paced",
    async *stream() {
      for (let token = 0; token < TOKENS; token++) {
        await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
        yield { type: "text", text: `token ${token} ` };
      }
      yield { type: "finish", finish: "stop" };
    },
  };
}

/** How long a run takes that the page watches, of the same run alone. Medians of runs in turn; the page has a process of its own, as it has with people. */
export async function attachedCost(browser: Browser): Promise<number> {
  const agent = createAgent({ name: "paced", model: pacedModel() });
  const token = "correct-horse-battery";
  const server = await serve({ agents: agent, port: 0, token, inspect: true });
  const page = await browser.newPage();
  const alone: number[] = [];
  const watched: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    await page.goto("about:blank");
    alone.push(await timed(`alone-${round}`));
    const runId = `watched-${round}`;
    const took = timed(runId);
    await page.goto(`${server.url}/inspect#run=${runId}&token=${token}`);
    watched.push(await took);
    // It was really watched.
    await page.locator(".badge", { hasText: "live" }).waitFor({ timeout: 60_000 });
  }
  await page.close();
  await server.close();
  return median(watched) / median(alone);

  async function timed(runId: string): Promise<number> {
    const began = performance.now();
    const { status } = await agent.run("talk", { runId }).settled();
    if (status !== "done") throw new Error(`The run is ${status}.`);
    return performance.now() - began;
  }
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? 0;
}
