import { z } from "zod";
import { defineTool } from "./tool.ts";

/**
 * Tool `ask_user`: a question to the person who follows the run. The call waits for approval, and the answer is what that person says with it, as
 * text; `options` are suggestions, any answer counts.
 */
export const askUser = defineTool({
  name: "ask_user",
  description: "Asks the user a question and waits for the answer. Use it when you cannot go on without it.",
  input: z.object({
    question: z.string().min(1).max(4000).describe("The question"),
    options: z
      .array(z.string().min(1).max(200))
      .max(20)
      .optional()
      .describe("Answers to choose from, where there are some"),
  }),
  approval: "always",
  asks: true,
  idempotent: true,
  execute(_input, { answer }) {
    if (answer === undefined)
      throw new Error("The call was approved without an answer. Ask again, or go on without it.");
    return answer;
  },
});
