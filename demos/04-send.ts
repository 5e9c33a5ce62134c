// send() is the one verb for what a person says while the agent works: redirect (now), steer (step), follow up (done).

import { createAgent, type Event, type Run } from "rubato";
import { demoModel } from "./support/model.ts";
import { escape, goOn } from "./support/person.ts";
import { say, show, watch, you } from "./support/print.ts";
import { weather } from "./support/tools.ts";

const agent = createAgent({ name: "listener", model: demoModel(), tools: [weather] });

say("1. Redirect: `now` aborts what is in flight and goes on with the text, as one command. Press Esc to redirect.");
await goOn("start");
const story = agent.run("Tell me the story of the lighthouse.");
await sendAt(
  story,
  "Rather the one of the garden.",
  "now",
  (event) => event.type === "token_stream" && event.data.offset > 60,
);

say("2. Steer: `step` (the default) stops nothing. The model hears it at the next step boundary, after the tools.");
await goOn("start");
const forecast = agent.run("How warm is it in Paris?");
await sendAt(forecast, "Rome, too, and in Fahrenheit.", "step", (event) => event.type === "tool_progress");

say("3. Follow up: `done` waits for the answer and begins the next turn in the same log, without a rest between.");
await goOn("start");
const chat = agent.run("How warm is it in Oslo?");
await sendAt(chat, "And now a story: the garden.", "done", (event) => event.type === "tool_progress");
show("turns", chat.state.turn);

/** Says something when the person presses Esc, prints both receipts: the one of now, and the one of when the model heard it. */
async function sendAt(
  run: Run,
  text: string,
  when: "now" | "step" | "done",
  at: (event: Event) => boolean,
): Promise<void> {
  const watching = watch(run);
  const pressed = await escape(run, at);
  const from = run.state.seq;
  // The id is ours: the same id twice is one input, however often the network makes us repeat it.
  const receipt = await run.send(text, { when, id: `${when}-1` });
  // Without Esc it had come to rest: then the text begins the next turn, and there is more to watch.
  await (pressed ? watching : watch(run, from));
  you(`run.send("${text}", { when: "${when}" })`);
  show("receipt", receipt);
  for (const event of await run.history("input_delivered")) {
    if (event.type === "input_delivered" && event.data.id === `${when}-1`) show("input_delivered", event.data);
  }
}
