// Errors: a request that fails is made again after a wait, what its first attempt had said is superseded, and another model goes on where one fails.

import { createAgent, RubatoError } from "rubato";
import { paced } from "./support/model.ts";
import { escape, goOn, live } from "./support/person.ts";
import { say, show, watch, you } from "./support/print.ts";

// Short waits where nobody watches. `random` is injected, as clock and ids are.
const retry = { retries: 2, baseMs: live ? 3_000 : 20 };
const random = (): number => 0.999;

say("1. The endpoint breaks off in the middle of its answer. That can pass, so it is asked again after a wait.");
await goOn("ask");
const shaky = paced("shaky", [
  { text: "The answer is forty-", end: "truncated" },
  { end: "truncated" },
  "The answer is forty-two.",
]);
const first = createAgent({ name: "patient", model: shaky, retry, random });
const run = first.run("What is the answer?");
await watch(run);
show("requests", shaky.requests.length);
show("output", run.state.output);
show(
  "messages",
  run.state.messages.map(({ role }) => role),
);

say("2. What cannot pass is not tried again. With a list of models the next one is asked, and the run's log says why.");
await goOn("ask");
const locked = paced("locked", () => ({ error: new RubatoError("model", "The endpoint wants another key.") }));
const second = createAgent({
  name: "resourceful",
  model: [locked, paced("spare", ["Forty-two, says the spare."])],
  retry,
  random,
});
const helped = second.run("What is the answer?");
await watch(helped);
show("output", helped.state.output);

say(
  "3. Without another model the turn fails, and can be resumed. A wait can be stopped like anything else: press Esc.",
);
await goOn("ask");
const busy = paced("busy", (_request, index) => (index < 1 ? { end: "truncated" } : "At last."));
const third = createAgent({
  name: "stoppable",
  model: busy,
  retry: { ...retry, baseMs: 30_000, maxMs: 60_000 },
  random,
});
const waiting = third.run("What is the answer?");
const watching = watch(waiting);
const pressed = await escape(waiting, (event) => event.type === "retry");
show("waits", waiting.state.value);
const receipt = pressed ? await waiting.interrupt("too long") : undefined;
await watching;
you(receipt === undefined ? "(no Esc)" : "Esc");
if (receipt !== undefined) show("receipt", receipt);
const from = waiting.state.seq;
if (receipt !== undefined) await waiting.resume();
await watch(waiting, from);
show("output", waiting.state.output);
