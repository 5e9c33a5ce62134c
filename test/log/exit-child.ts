import { createAgent } from "../../runtime/agent.ts";
import { fileLog } from "../../runtime/log/file.ts";
import { scriptedModel } from "../../runtime/models/scripted.ts";

// A program that forgets to close its agents: one that ran, and one that looked at the run.
const [folder = ""] = process.argv.slice(2);
const first = createAgent({ name: "a", model: scriptedModel([["done"]]), log: fileLog(folder) });
await first.run("task", { runId: "r" }).settled();
const second = createAgent({ name: "a", model: scriptedModel([]), log: fileLog(folder) });
const run = await second.open("r");
for await (const _event of run) {
  // To its end.
}
console.log(run.state.status);
