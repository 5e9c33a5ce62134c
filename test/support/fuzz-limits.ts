import { retryBucket, type AgentApproval, type AgentOptions, type Budget } from "rubato";
import type { Dice } from "./fuzz-model.ts";

/** Whom a random agent asks, how often it tries again and what it may use. The same for every process that has a run. */
export type FuzzLimits = Pick<
  AgentOptions,
  | "maxSteps"
  | "toolConcurrency"
  | "retry"
  | "random"
  | "approval"
  | "approvalTimeoutMs"
  | "budget"
  | "prices"
  | "maxRepeats"
  | "timeouts"
>;

/** Enough of everything: whoever raises a budget to this goes on. */
export const PLENTY = { toolCalls: 10_000, outputTokens: 1_000_000, wallMs: 1_000_000_000, cost: 1_000 };

export function fuzzLimits(dice: Dice): FuzzLimits {
  return {
    maxSteps: dice.pick([1, 3, 10, 20]),
    toolConcurrency: dice.pick([1, 2, 5]),
    retry: { retries: dice.pick([0, 1, 3]), baseMs: 100, bucket: retryBucket({ capacity: 1_000 }) },
    random: () => dice.below(1_000) / 1_000,
    // By the arguments and not by the dice: asked again about the same call it must say the same.
    approval: dice.pick<AgentApproval>([
      "never",
      "never",
      "always",
      ({ args }) => JSON.stringify(args).length % 2 === 0,
      async ({ tool }) => (tool === "sync" ? undefined : tool.length % 2 === 0),
    ]),
    approvalTimeoutMs: dice.pick([5_000, 86_400_000]),
    budget: dice.pick<Budget>([{}, {}, {}, { toolCalls: 3 }, { outputTokens: 20 }, { wallMs: 3_000 }, { cost: 0.001 }]),
    prices: { fuzz: { input: 1, output: 10 }, second: { input: 2, output: 20 } },
    maxRepeats: dice.pick([0, 2, 5]),
    timeouts: dice.chance(0.5) ? {} : { firstByteMs: 2_000, idleMs: 1_000, totalMs: 20_000 },
  };
}
