// The process that demo 07 kills: it runs an agent on a file log until somebody ends it.

import { createAgent, fileLog } from "rubato";
import { demoModel } from "./model.ts";
import { pay, weather } from "./tools.ts";

const [folder = ""] = process.argv.slice(2);
const agent = createAgent({ name: "survivor", model: demoModel(), tools: [weather, pay], log: fileLog(folder) });
const run = agent.run("How warm is it in Paris and Rome? And pay the ticket.", { runId: "ticket" });
run.subscribe("tool_progress", ({ data }) => {
  // Somebody else decides when it has done enough.
  process.send?.(data.value);
});
await run.settled();
