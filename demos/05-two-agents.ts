// Two agents at once in one process. One is interrupted; the other notices nothing.

import { createAgent, type Event } from "rubato";
import { demoModel } from "./support/model.ts";
import { escape, goOn } from "./support/person.ts";
import { say, show, you } from "./support/print.ts";
import { weather } from "./support/tools.ts";

const left = createAgent({ name: "left", model: demoModel(), newRunId: () => "left-1" });
const right = createAgent({ name: "right", model: demoModel(), tools: [weather], newRunId: () => "right-1" });

say("The left one tells a story, the right one asks for the weather. Esc stops the left one only.");
await goOn("start both");

// agent.subscribe hears all runs of an agent, those to come included. A listener that throws or hangs disturbs nobody.
const order: string[] = [];
const print = (event: Event): void => {
  const [side = ""] = event.runId.split("-");
  if (order.at(-1) !== side) order.push(side);
  const text = event.type === "token_stream" ? `token_stream ${JSON.stringify(event.data.text)}` : event.type;
  console.log(side === "left" ? text : `${" ".repeat(44)}${text}`);
};
left.subscribe("*", print);
right.subscribe("*", print);

const story = left.run("Tell me the story of the lighthouse.");
const forecast = right.run("How warm is it in Paris, Rome and Oslo?");

const pressed = await escape(story, (event) => event.type === "token_stream" && event.data.offset > 60);
const receipt = pressed ? await story.interrupt("enough of the sea", { mode: "now" }) : undefined;
const [stopped, finished] = await Promise.all([story.settled(), forecast.settled()]);

say("How they stand:");
if (receipt !== undefined) you("Esc");
show("left ", { status: stopped.status, receipt });
show("right", { status: finished.status, output: finished.output });
show("changes of side", order.length - 1);

say("The left one goes on where it stood, whenever somebody wants it to.");
await goOn("resume the left one");
if (stopped.status === "interrupted") await story.resume("In one sentence, please.");
show("left ", { output: (await story.settled()).output });
