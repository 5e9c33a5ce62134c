import { createAgent, defineTool, memoryLog, scriptedModel, toolCalls, type EventLog } from "rubato";
import { z } from "zod";

/** A finished run "r1" of some 10 KB times `count` as events: more than the system buffers between two ends of a line, where it is long enough. */
export async function floodedLog(count: number): Promise<EventLog> {
  const log = memoryLog();
  const flood = defineTool({
    name: "flood",
    description: "Says much",
    input: z.object({}),
    async execute(_input, ctx) {
      for (let at = 0; at < count; at++) ctx.emit("much", "x".repeat(10_000));
    },
  });
  const model = scriptedModel([toolCalls([{ name: "flood", args: {} }]), "fine"]);
  const agent = createAgent({ name: "test", model, tools: [flood], log });
  await agent.run("talk", { runId: "r1" }).settled();
  await agent.close();
  return log;
}
