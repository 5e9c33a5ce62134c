// Tools: the model asks for three at once; their arguments stream, they run in parallel and report progress.

import { createAgent } from "rubato";
import { demoModel } from "./support/model.ts";
import { goOn, stoppable } from "./support/person.ts";
import { say, show, watch } from "./support/print.ts";
import { weather } from "./support/tools.ts";

const agent = createAgent({ name: "forecast", model: demoModel(), tools: [weather], toolConcurrency: 2 });

say("One question, three calls, at most two at a time (toolConcurrency: 2).");
say(
  "tool_call_delta: the arguments as they stream; tool_call: parsed and valid; tool_start: the licence to run; tool_progress: what it streams; tool_result: its one outcome.",
);
await goOn("ask");

const run = agent.run("How warm is it in Paris, Rome and Oslo?");
stoppable(run);
const most = { running: 0 };
run.subscribe("tool_*", () => {
  const running = [...run.state.toolCalls.values()].filter(({ phase }) => phase === "running").length;
  most.running = Math.max(most.running, running);
});
await watch(run);

say("Each call has exactly one outcome, and its result goes back to the model in the order of the calls.");
for (const { callId, name, args, outcome, output } of run.state.toolCalls.values()) {
  show(`${callId} ${name}`, { args, outcome, output });
}
show("most at a time", most.running);
show("output", (await run.settled()).output);
