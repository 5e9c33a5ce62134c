// Interrupt: stop in mid-sentence, in mid-tool and at a step boundary. Nothing is lost, and each time it goes on with a new instruction.

import { createAgent, type Event, type Run } from "rubato";
import { demoModel } from "./support/model.ts";
import { escape, goOn } from "./support/person.ts";
import { say, show, watch, you } from "./support/print.ts";
import { weather } from "./support/tools.ts";

const agent = createAgent({ name: "stoppable", model: demoModel(), tools: [weather] });

say("1. In mid-sentence: mode `now` aborts the model's stream and keeps what it has said. Press Esc while it tells.");
await goOn("start");
const story = agent.run("Tell me the story of the lighthouse.");
await stopAt(story, "now", "too long", (event) => event.type === "token_stream" && event.data.offset > 120);
await goOnWith(story, "In one sentence, please.");
for (const { role, content } of story.state.messages) show(role, content);

say("2. In mid-tool: mode `now` aborts the tools that run, too. Press Esc while they report progress.");
await goOn("start");
const forecast = agent.run("How warm is it in Paris and Rome?");
await stopAt(forecast, "now", "wrong cities", (event) => event.type === "tool_progress");
outcomes(forecast);
await goOnWith(forecast, "Only Oslo, in Fahrenheit.");

say("3. At a boundary: mode `step` (the default) lets the tools finish, then stops before the model is asked again.");
await goOn("start");
const careful = agent.run("How warm is it in Paris and Rome?");
await stopAt(careful, "step", "let me see first", (event) => event.type === "tool_progress");
outcomes(careful);
await goOnWith(careful, "In Fahrenheit, please.");

say("A command at the wrong moment never throws. It answers why not, and the log stays as it was.");
show("careful.interrupt()", await careful.interrupt("again"));

/** Interrupts the run when the person presses Esc, and prints what that did. */
async function stopAt(run: Run, mode: "now" | "step", reason: string, when: (event: Event) => boolean): Promise<void> {
  const watching = watch(run);
  const receipt = (await escape(run, when)) ? await run.interrupt(reason, { mode }) : undefined;
  await watching;
  you(receipt === undefined ? "(no Esc: it came to its end)" : `Esc, run.interrupt("${reason}", { mode: "${mode}" })`);
  if (receipt !== undefined) show("receipt", receipt);
}

/** Resumes with an instruction; a run that nobody stopped has an answer already, so there it is the next question. */
async function goOnWith(run: Run, instruction: string): Promise<void> {
  await goOn("go on with a new instruction");
  const stopped = run.state.status === "interrupted";
  you(`run.${stopped ? "resume" : "send"}("${instruction}")`);
  const from = run.state.seq;
  const receipt = stopped ? await run.resume(instruction) : await run.send(instruction);
  await watch(run, from);
  show("receipt", receipt);
}

function outcomes(run: Run): void {
  for (const { callId, args, outcome } of run.state.toolCalls.values()) show(`call ${callId}`, { args, outcome });
}
