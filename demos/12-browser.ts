// The browser: a plain page and a React page over the same agent. Start it there, stop it, redirect it, reload the page: nothing is lost.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAgent, offlineModel } from "rubato";
import { createClient, type ClientRun } from "rubato/client";
import { standardTools, writeFile } from "rubato/tools";
import { beat } from "./support/pace.ts";
import { servePages } from "./support/pages.ts";
import { goOn, live } from "./support/person.ts";
import { say, show, you } from "./support/print.ts";

const folder = mkdtempSync(join(tmpdir(), "rubato-browser-"));
const model = offlineModel({ paceMs: 60, sleep: (ms, signal) => beat(signal, ms) });
const agent = createAgent({ name: "clerk", model, tools: [...standardTools(), writeFile({ root: folder })] });
const server = await servePages(agent);

say("Two pages that show the same runs, one without a framework, one with React:");
console.log(`  ${server.url}/plain.html`);
console.log(`  ${server.url}/react.html`);
if (live) await goOn("stop the server");
else await scriptedPerson();

await agent.close();
await server.close();
rmSync(folder, { recursive: true, force: true });

/** Does what a person does in the page, with the same client. */
async function scriptedPerson(): Promise<void> {
  const page = await fetch(`${server.url}/plain.html`);
  show("plain.html", page.headers.get("content-security-policy"));

  you("Start: Write a long text about the sea.");
  let client = createClient({ url: `${server.url}/api` });
  let run = await client.start("Write a long text about the sea.");
  await until(run, () => (run.state.partial?.text.length ?? 0) > 100);
  you("reload the page");
  const { id } = run;
  client.close();

  client = createClient({ url: `${server.url}/api` });
  run = client.attach(id);
  await until(run, () => (run.state.partial?.text.length ?? 0) > 200);
  you("Interrupt");
  show("receipt", await run.interrupt("that is enough", { mode: "now" }));
  await run.settled();
  show("status", run.state.status);
  const kept = run.state.messages.at(-1)?.content ?? "";
  show("kept, with nothing lost", kept === (await agent.open(id)).state.messages.at(-1)?.content);

  you("Send: What is 17*23?");
  await run.send("What is 17*23?");
  show("output", (await run.settled()).output);
  client.close();
}

/** Waits for a moment of the run: following it keeps the connection open. */
function until(run: ClientRun, isReached: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const stop = run.onChange(() => {
      if (!isReached()) return;
      stop();
      resolve();
    });
  });
}
