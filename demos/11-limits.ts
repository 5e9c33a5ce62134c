// Limits: a budget that is used up and a circle both bring the run to rest as an interrupt does: it says what to raise, and goes on.

import { createAgent } from "rubato";
import { lastWords, paced } from "./support/model.ts";
import { goOn, stoppable } from "./support/person.ts";
import { say, show, watch, you } from "./support/print.ts";
import { weather } from "./support/tools.ts";

say("1. A budget of tokens. It is looked at between two steps, so nothing is cut in its middle.");
await goOn("ask");
const asks = { calls: [{ name: "weather", args: { city: "Paris" } }], usage: { inputTokens: 200, outputTokens: 40 } };
const teller = paced("teller", [asks, "It is 15 °C in Paris."]);
const thrifty = createAgent({
  name: "thrifty",
  model: teller,
  tools: [weather],
  budget: { outputTokens: 30, cost: 1 },
  prices: { teller: { input: 0.4, output: 1.6 } },
});
const run = thrifty.run("How warm is it in Paris?");
stoppable(run);
await watch(run);
const { status, error, usage } = await run.settled();
show("status", status);
show("error", error);
show("usage", usage);

say("Resuming alone is refused. What was said meanwhile waits. A higher total goes on where it stood.");
await goOn("resume");
show("run.resume()", await run.resume());
const from = run.state.seq;
you("run.resume(undefined, { budget: { outputTokens: 500 } })");
show("receipt", await run.resume(undefined, { budget: { outputTokens: 500 } }));
stoppable(run);
await watch(run, from);

say(
  "2. A circle: the same call with the same result, again and again. Steps are counted by what they do, not by how many.",
);
await goOn("ask");
const stubborn = paced("stubborn", ({ messages }) =>
  lastWords(messages).includes("guess") ? "I guess 15 °C." : { calls: [{ name: "weather", args: { city: "Paris" } }] },
);
const circling = createAgent({ name: "circling", model: stubborn, tools: [weather], maxRepeats: 3 });
const round = circling.run("How warm is it in Paris?");
stoppable(round);
await watch(round);
show("limit", round.state.limit);

say("Nothing has to be raised: an instruction leads out of it.");
await goOn("say something else");
const before = round.state.seq;
you('run.resume("Never mind, guess.")');
show("receipt", await round.resume("Never mind, guess."));
stoppable(round);
await watch(round, before);
show("steps", (await round.settled()).steps);
