import { z } from "zod";
import { defineTool, scriptedModel, type AgentOptions, type ScriptStep } from "rubato";
import { askUser } from "rubato/tools";

/** Agents for the tests of the other protocols. */

export const refund = defineTool({
  name: "refund",
  description: "Pays money back",
  input: z.object({ amount: z.number() }),
  approval: "always",
  execute: async ({ amount }) => ({ paid: amount }),
});

export const broken = defineTool({
  name: "broken",
  description: "Always fails",
  input: z.object({}),
  async execute() {
    throw new Error("the disk is full");
  },
});

/** An agent that answers from a script, with tools that ask, fail, and question. No retry waits. */
export function scripted(steps: readonly ScriptStep[]): Partial<AgentOptions> {
  return {
    model: scriptedModel(steps),
    tools: [refund, broken, askUser],
    retry: { baseMs: 1, maxMs: 1 },
  };
}

export const call = (name: string, args: Readonly<Record<string, unknown>> = {}): ScriptStep => ({
  calls: [{ name, args }],
});
