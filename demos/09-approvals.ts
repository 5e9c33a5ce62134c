// Approvals: a call that acts waits for a person, who approves it, edits its arguments, rejects it, or allows the tool for the rest of the run.

import { z } from "zod";
import { createAgent, defineTool, type Run } from "rubato";
import { lastWords, paced } from "./support/model.ts";
import { choose, goOn, stoppable } from "./support/person.ts";
import { say, show, watch, you } from "./support/print.ts";

const sent: string[] = [];
const mail = defineTool({
  name: "mail",
  description: "Sends a mail",
  input: z.object({ to: z.email(), text: z.string() }),
  // Or "always". What throws, or answers no boolean, asks.
  approval: ({ to }) => !to.endsWith("@home.example"),
  execute({ to, text }) {
    sent.push(`${to}: ${text}`);
    return "sent";
  },
});

const model = paced("secretary", ({ messages }) => {
  const results = messages.slice(messages.findLastIndex(({ role }) => role === "user") + 1);
  if (results.some(({ content }) => content.startsWith("Rejected"))) return "Not all of it was sent.";
  if (results.length > 0) return "Sent.";
  const names = ["ann", "bob", "cat", "dan", "eve"].filter((name) => lastWords(messages).toLowerCase().includes(name));
  return {
    calls: names.map((name) => ({ name: "mail", args: { to: `${name}@work.example`, text: "See you at 9." } })),
  };
});

const agent = createAgent({ name: "secretary", model, tools: [mail] });

say("1. Two calls wait. The run is at rest meanwhile, its state says for what, and any process may answer.");
await goOn("ask for two mails");
const run = agent.run("Write to Ann and Bob.");
stoppable(run);
await watch(run);
show("status", run.state.status);
for (const { callId, name, args } of run.state.pendingApprovals) show(`${callId} ${name}`, args);
await answerAll(run, "y", "e");

say("2. A no is a result like any other: the model hears the reason, and the call never runs.");
await goOn("ask for another");
await next(run, "Write to Cat.");
await answerAll(run, "n");

say("3. Approved for the rest of the run: the tool's later calls ask nobody.");
await goOn("ask twice more");
await next(run, "Write to Dan.");
await answerAll(run, "a");
await next(run, "Write to Eve.");

say("What was sent, by the tool itself:");
for (const line of sent) console.log(`  ${line}`);
show("allowed tools", run.state.allowedTools);

async function next(of: Run, text: string): Promise<void> {
  you(text);
  const from = of.state.seq;
  await of.send(text);
  stoppable(of);
  await watch(of, from);
}

/** Answers each call that waits, by the person's key; the scripted person has one for each. */
async function answerAll(of: Run, ...scripted: ("y" | "n" | "e" | "a")[]): Promise<void> {
  const from = of.state.seq;
  for (const call of of.state.pendingApprovals) {
    const { callId, args, approval } = call;
    const choices = { y: "approve", n: "reject", e: "edit", a: "approve from now on" };
    console.log(`  ${callId} ${JSON.stringify(args)}?`);
    const key = await choose(choices, scripted.shift() ?? "y");
    you(`${choices[key]} ${callId}`);
    // An approval binds the arguments that were seen: of others it is refused.
    const argsHash = approval?.argsHash ?? "";
    if (key === "n") show("receipt", await of.reject(callId, "she is on holiday"));
    else if (key === "a") show("receipt", await of.approve(callId, { argsHash, forRun: true }));
    else if (key === "e") {
      show("receipt", await of.approve(callId, { argsHash, args: { to: "nobody", text: "?" } }));
      const to = typeof args === "object" && args !== null && "to" in args ? args.to : "";
      show("receipt", await of.approve(callId, { argsHash, args: { to, text: "See you at 10." } }));
    } else show("receipt", await of.approve(callId, { argsHash }));
  }
  stoppable(of);
  await watch(of, from);
}
