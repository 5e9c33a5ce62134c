// A recorded log folded again with step(): state is nothing but the fold of the events. No model and no tool runs here a second time.

import { createAgent, memoryLog } from "rubato";
import { encodeState, initialState, parseEvent, step } from "rubato/machines";
import { demoModel } from "./support/model.ts";
import { escape, goOn } from "./support/person.ts";
import { gist, say, show, watch } from "./support/print.ts";
import { weather } from "./support/tools.ts";

say("First a live run, stopped in mid-tool and resumed. Press Esc while the tools run.");
await goOn("start");
const log = memoryLog();
const model = demoModel();
const agent = createAgent({ name: "recorded", model, tools: [weather], log });
const run = agent.run("How warm is it in Paris and Rome?", { runId: "recorded-1" });
const watching = watch(run);
if (await escape(run, (event) => event.type === "tool_progress")) await run.interrupt("stop", { mode: "now" });
await watching;
if (run.state.status === "interrupted") await run.resume("In Fahrenheit, please: Paris and Rome.");
await run.settled();

say("Its log, as lines of JSON: all that is left of a run, and all that is needed.");
const events = await log.read(run.id, { after: 0, limit: run.durableSeq });
const lines = events.map((event) => JSON.stringify(event));
show("lines", lines.length);
show("requests to the model so far", model.requests.length);

say(
  "Now event by event from those lines: parseEvent(), then step(). The state at any moment of the past is one fold away.",
);
await goOn("fold");
let state = initialState();
let refused = 0;
for (const line of lines) {
  const event = parseEvent(JSON.parse(line));
  const before = state.value;
  const result = step(state, event);
  if (!result.accepted) refused += 1;
  state = result.state;
  if (state.value !== before) {
    console.log(`${String(event.seq).padStart(4)} ${event.type.padEnd(16)}${before} -> ${state.value}  ${gist(event)}`);
  }
}

say("The folded state and the live one, each as canonical JSON:");
show("events refused", refused);
show("requests to the model so far", model.requests.length);
show("encodeState(folded) === encodeState(run.state)", encodeState(state) === encodeState(run.state));
