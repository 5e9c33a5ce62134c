import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createAgent, defineTool, scriptedModel } from "rubato";
import { z } from "zod";

// A process of its own: tells its parent how many bytes of each finished run outlive the collections of young objects.

setFlagsFromString("--expose-gc");
const collect: unknown = runInNewContext("gc");
if (typeof collect !== "function") throw new Error("this engine has no gc()");

const RUNS = 200;
const tool = defineTool({ name: "weather", description: "x", input: z.object({}), execute: async () => "fine" });

async function one(): Promise<void> {
  const steps = Array.from({ length: 5 }, () => ({ text: "a few words", calls: [{ name: "weather", args: {} }] }));
  const agent = createAgent({ name: "a", model: scriptedModel([...steps, { text: "done" }]), tools: [tool] });
  await agent.run("go").settled();
}

function used(): number {
  return getHeapSpaceStatistics()
    .filter(({ space_name: name }) => /new|old|large/.test(name))
    .reduce((sum, { space_used_size: size }) => sum + size, 0);
}

for (let run = 0; run < 300; run++) await one();
collect();
const before = used();
for (let run = 0; run < RUNS; run++) {
  await one();
  await new Promise((resolve) => setImmediate(resolve));
  if (run % 10 !== 9) continue;
  collect({ type: "minor" });
  collect({ type: "minor" });
}
process.stdout.write(JSON.stringify((used() - before) / RUNS));
