// Time travel: replay a run without running anything, look at any moment of it, and fork it there with another past or another future.

import { createAgent, diffRuns, memoryLog, replay, stateAt } from "rubato";
import { demoModel } from "./support/model.ts";
import { goOn, stoppable } from "./support/person.ts";
import { say, show } from "./support/print.ts";
import { weather } from "./support/tools.ts";

const log = memoryLog();
const model = demoModel();
const agent = createAgent({ name: "traveller", model, tools: [weather], log });
const run = agent.run("How warm is it in Paris and Rome?", { runId: "original" });
stoppable(run);
await run.settled();
show("output", run.state.output);
const asked = model.requests.length;

say("replay(): the same events, and the state after each. No model is asked, no tool runs.");
await goOn("replay");
let told = "";
for await (const { event, state } of replay(log, "original")) {
  if (state.value === told) continue;
  told = state.value;
  console.log(`${String(event.seq).padStart(4)} ${event.type.padEnd(16)}-> ${state.value}`);
}
show("requests to the model meanwhile", model.requests.length - asked);

say("stateAt(): any moment, for instance right after the first token of the last answer.");
await goOn("look");
const tokens = await run.history("token_stream", 100);
const moment = tokens[0]?.seq ?? 1;
const state = await stateAt(log, "original", moment);
show("seq", moment);
show("value", state.value);
show("partial", state.partial?.text);

say("agent.fork(): a run of its own from there on. The past is the same, the future is another.");
await goOn("fork");
const fork = await agent.fork("original", { at: moment, runId: "fahrenheit", instruction: "In Fahrenheit, please." });
stoppable(fork);
await fork.settled();
show("original", run.state.output);
show("fork", fork.state.output);

say("Also with another past: the tool had said something else.");
await goOn("fork with an edited result");
const results = await run.history("tool_result", 10);
const edited = await agent.fork("original", {
  at: results.at(-1)?.seq ?? 1,
  runId: "hot",
  instruction: "And now?",
  results: { "1.0": { output: { city: "Paris", celsius: 40 } } },
});
stoppable(edited);
await edited.settled();
show("fork", edited.state.output);

say("diffRuns(): where two runs part, and what each did then.");
const difference = await diffRuns(log, "original", "fahrenheit");
show("the same up to seq", difference.common);
show("original", difference.a.text);
show("fork", difference.b.text);

say("agent.checkReplay(): would today's code record the same?");
show("check", await agent.checkReplay("original"));
