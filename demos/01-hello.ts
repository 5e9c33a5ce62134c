// The smallest program: an agent, a run, its events, its outcome.

import { createAgent } from "rubato";
import { demoModel } from "./support/model.ts";
import { goOn, stoppable } from "./support/person.ts";
import { gist, say, show } from "./support/print.ts";

const agent = createAgent({ name: "hello", instructions: "Be kind.", model: demoModel() });

say("agent.run() starts at once and answers a Run. Iterating it gives every event from the first on, tokens included.");
await goOn("start");
const run = agent.run("Hi!");
stoppable(run);

for await (const event of run) {
  console.log(`${String(event.seq).padStart(4)} ${event.type.padEnd(16)}${gist(event)}`);
}

say("The loop ends when the run is at rest. settled() says how it stands, and never rejects.");
const outcome = await run.settled();
show("outcome", outcome);

say("run.state is the fold of those events: the conversation as the model would get it now.");
for (const { role, content } of run.state.messages) show(role, content);

say("The log stays. Anybody can read it again, from any event on, without running anything.");
const last = await run.history("*", 2);
show(
  "run.history('*', 2)",
  last.map(({ seq, type }) => `${seq} ${type}`),
);
