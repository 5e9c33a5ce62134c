// A page without a framework: it starts or attaches to a run, and draws `run.state` whenever something changed.

import "./no-eval.ts";
import { chatMessages, createClient, type AgentState, type ClientRun } from "rubato/client";
import { canInterrupt, canResume, canSend, connectionText, isWorking, receiptText, statusText } from "./abilities.ts";
import { linkPages, putInAddress, runInAddress } from "./address.ts";
import { entryOf, type Entry } from "./entry.ts";
import { followEnd } from "./follow-end.ts";

// A page has time: it tries until the server is there again.
const client = createClient({ url: "api", reconnect: { attempts: 1_000_000, maxMs: 5_000 } });
let run: ClientRun | undefined;
let stopFollowing = (): void => {};

const transcript = element("transcript", HTMLElement);
const approvals = element("approvals", HTMLElement);
const text = element("text", HTMLInputElement);
const notice = element("notice", HTMLElement);

/** Follows another run from now on: `onChange` connects, and its undo lets the connection go. */
function follow(next: ClientRun | undefined): void {
  stopFollowing();
  run?.close();
  run = next;
  stopFollowing = run?.onChange(draw) ?? ((): void => {});
  linkPages();
  draw();
}

function draw(): void {
  element("hint", HTMLElement).hidden = run !== undefined;
  put(element("status", HTMLElement), run === undefined ? "no run yet" : statusText(run.state));
  put(element("connection", HTMLElement), run === undefined ? "" : connectionText(run.connection));
  const { state } = run ?? {};
  allow("send", state !== undefined && canSend(state));
  allow("redirect", state !== undefined && isWorking(state));
  allow("interrupt", state !== undefined && canInterrupt(state));
  allow("resume", state !== undefined && canResume(state));
  drawEntries(state === undefined ? [] : entriesOf(state));
  drawApprovals(state);
  transcript.ariaBusy = state?.value === "thinking.streaming" ? "true" : "false";
}

function entriesOf(state: AgentState): Entry[] {
  return chatMessages(state)
    .map((message) => entryOf(message, state))
    .filter((entry) => entry !== undefined);
}

function drawEntries(entries: readonly Entry[]): void {
  for (const [index, { kind, who, text, note }] of entries.entries()) {
    const shown = transcript.children[index] ?? transcript.appendChild(copyOf("entry"));
    shown.className = `entry ${kind}`;
    put(part(shown, "b"), who);
    put(part(shown, "i"), note);
    put(part(shown, ".text"), text);
  }
  while (transcript.children.length > entries.length) transcript.lastElementChild?.remove();
}

/** Made anew only when others wait, so that nobody's focus is lost. */
function drawApprovals(state: AgentState | undefined): void {
  const waiting = state?.pendingApprovals ?? [];
  const ids = waiting.map(({ callId }) => callId).join();
  if (approvals.dataset["ids"] === ids) return;
  approvals.dataset["ids"] = ids;
  approvals.replaceChildren();
  for (const { callId, name, rawArgs, approval } of waiting) {
    const asked = copyOf("approval");
    asked.ariaLabel = `${name} waits for you`;
    put(part(asked, ".text"), `${name} ${rawArgs}`);
    // The approval is good for the arguments that stand here, and no others.
    const argsHash = approval?.argsHash ?? "";
    part(asked, "[value=approve]").addEventListener("click", () => {
      command((it) => it.approve(callId, { argsHash }));
    });
    part(asked, "[value=reject]").addEventListener("click", () => {
      command((it) => it.reject(callId, takeText()));
    });
    approvals.append(asked);
  }
}

function start(): void {
  const task = takeText();
  if (task === undefined) return;
  put(notice, "");
  client.start(task).then((started) => {
    putInAddress(started.id);
    follow(started);
  }, failed);
}

/** Asks the server, which answers with a receipt. Only where nobody knows what became of it, it rejects. */
function command(does: (run: ClientRun) => Promise<Parameters<typeof receiptText>[0]>): void {
  if (run === undefined) {
    put(notice, "There is no run yet: start one.");
    return;
  }
  does(run).then((receipt) => {
    put(notice, receiptText(receipt));
  }, failed);
}

function send(when?: "now"): void {
  const said = takeText();
  if (said === undefined) return;
  command((it) => it.send(said, when === undefined ? {} : { when }));
}

function interrupt(): void {
  command((it) => it.interrupt("the person stopped it", { mode: "now" }));
}

function failed(error: unknown): void {
  put(notice, error instanceof Error ? error.message : String(error));
}

/** Undefined where nothing was written. */
function takeText(): string | undefined {
  const said = text.value.trim();
  text.value = "";
  return said === "" ? undefined : said;
}

/** Text that stays the same is left alone: a selection in it too. */
function put(node: Element, said: string): void {
  if (node.textContent !== said) node.textContent = said;
}

/** Not `disabled`: a button that has the focus would lose it. */
function allow(id: string, isPossible: boolean): void {
  element(id, HTMLButtonElement).ariaDisabled = isPossible ? null : "true";
}

function copyOf(template: string): Element {
  const copy = document.importNode(element(template, HTMLTemplateElement).content, true).firstElementChild;
  if (copy === null) throw new Error(`The template ${template} is empty.`);
  return copy;
}

function part(of: Element, selector: string): Element {
  const found = of.querySelector(selector);
  if (found === null) throw new Error(`There is no ${selector}.`);
  return found;
}

function element<E extends Element>(id: string, type: new () => E): E {
  const found = document.getElementById(id);
  if (found instanceof type) return found;
  throw new Error(`The page has no ${id}.`);
}

const clicks: Readonly<Record<string, () => void>> = {
  start,
  send,
  redirect: () => {
    send("now");
  },
  interrupt,
  resume: () => {
    command((it) => it.resume(takeText()));
  },
};
for (const [id, does] of Object.entries(clicks)) {
  element(id, HTMLButtonElement).addEventListener("click", () => {
    does();
  });
}
element("composer", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  if (run === undefined) start();
  else send();
});
addEventListener("keydown", ({ key }) => {
  if (key === "Escape" && run !== undefined && canInterrupt(run.state)) interrupt();
});
addEventListener("hashchange", attach);
followEnd(transcript);
attach();

/** After a reload too: the whole run comes again, from its first event on. */
function attach(): void {
  const runId = runInAddress();
  follow(runId === undefined ? undefined : client.attach(runId));
}
