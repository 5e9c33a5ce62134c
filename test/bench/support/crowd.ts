import { createAgent, type Agent } from "rubato";
import { handWrittenLoop } from "./hand-written.ts";
import { steppingModel } from "./models.ts";
import { expect } from "./row.ts";
import { weatherTool } from "./weather.ts";

/** Bytes that a crowd costs: the whole process at its end, what that grew by, and what of it is live. */
export interface Growth {
  readonly rss: number;
  readonly rssGrowth: number;
  readonly heapGrowth: number;
}

/** Loops that all run at once. Answers what must stay alive for a fair look at memory. */
export async function manyLoops(count: number, steps: number): Promise<readonly unknown[]> {
  const all = await Promise.all(Array.from({ length: count }, () => handWrittenLoop(steppingModel(steps), "task")));
  expect(
    all.every((messages) => messages.length === 2 * steps + 2),
    "a loop lost messages",
  );
  return all;
}

/** Agents that all run at once, each with a log of its own that keeps every event. */
export async function manyAgents(count: number, steps: number): Promise<readonly Agent[]> {
  const agents = Array.from({ length: count }, () =>
    createAgent({ name: "bench", model: steppingModel(steps), tools: [weatherTool], maxSteps: steps + 1 }),
  );
  const outcomes = await Promise.all(agents.map((agent) => agent.run("task").settled()));
  expect(
    outcomes.every((outcome) => outcome.status === "done" && outcome.steps === steps + 1),
    "an agent of the crowd did not end as done",
  );
  return agents;
}
