// A process is killed in the middle of its tools, and another one goes on from the log on disk: nothing recorded is lost, nothing runs twice.

import { fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createAgent, fileLog, verify } from "rubato";
import { demoModel } from "./support/model.ts";
import { goOn, stoppable } from "./support/person.ts";
import { gist, say, show, watch } from "./support/print.ts";
import { pay, weather } from "./support/tools.ts";

const folder = mkdtempSync(join(tmpdir(), "rubato-demo-"));

say("A process runs an agent on a log in files. When its tools are at work it is killed: kill -9, no goodbye.");
await goOn("start and kill it");
const extension = import.meta.url.slice(import.meta.url.lastIndexOf("."));
const victim = fork(fileURLToPath(new URL(`./support/victim${extension}`, import.meta.url)), [folder]);
const signal = await new Promise((resolve) => {
  victim.on("message", (said) => {
    if (said === "the bank has it") victim.kill("SIGKILL");
  });
  victim.on("exit", (_code, by) => {
    resolve(by);
  });
});
show("the process ended by", signal);

say("This process has the agent's definition and the folder, and that is all it needs. First it only looks:");
await goOn("look");
const log = fileLog(folder);
const agent = createAgent({ name: "survivor", model: demoModel(), tools: [weather, pay], log });
const run = await agent.open("ticket");
show("run.settled()", await run.settled());
const before = run.state.seq;

say(
  "agent.resume(): what has answered stays as it is. Whether the ticket was paid nobody knows, so a person is asked.",
);
await goOn("resume");
const answer = await agent.resume("ticket");
show("accepted", answer.accepted);
stoppable(run);
await watch(run, before);
const { pending = [] } = await run.settled();
for (const call of pending) show("nobody knows how it ended", `${call.name} ${JSON.stringify(call.args)}`);

say("The person has looked at the account: it was paid. One result for the call, and the run goes on.");
await goOn("settle and go on");
for (const { callId } of pending) {
  show("run.settleCall()", await run.settleCall(callId, { output: "paid, the account says" }));
}
await run.resume();
stoppable(run);
await run.settled();
show("output", run.state.output);

say("The log tells all of it, and every promise about it can be checked:");
for (const event of await run.history("*", 200)) {
  if (event.type === "tool_start" || event.type === "owner" || event.type === "tool_result") {
    console.log(`${String(event.seq).padStart(4)} ${event.type.padEnd(16)}${gist(event)}`);
  }
}
show("verify(log, run)", await verify(log, "ticket"));
await agent.close();
rmSync(folder, { recursive: true, force: true });
