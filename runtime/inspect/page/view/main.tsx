import "./no-eval.ts";
import { render } from "preact";
import sample from "../sample.jsonl";
import { placeOf } from "../model/place.ts";
import { keepAddress } from "./address.ts";
import { App } from "./app.tsx";
import { onTheme } from "./colors.ts";
import { markOnceDrawn } from "./feeder.ts";
import { tell } from "./header.tsx";
import { listenToKeys } from "./keys.ts";
import { Opener } from "./opener.ts";
import { Player } from "./player.ts";
import { Session } from "./session.ts";
import { openServer } from "./server.ts";

const session = new Session();
const player = new Player(session);
const opener = new Opener(session, sample, placeOf(location.hash).seq);
const root = document.querySelector("#app");
if (root !== null) {
  root.replaceChildren();
  render(<App session={session} player={player} opener={opener} />, root);
}
listenToKeys(session, player);
keepAddress(session, opener);
onTheme(() => {
  session.changed();
});
listenToDrops();
markOnceDrawn("rubato:usable");
tell(session, begin());

/** What an exported page holds, what the address names, what the server has; else the sample. */
async function begin(): Promise<void> {
  const exported = document.querySelectorAll("script.log");
  if (exported.length > 0) {
    await opener.openTexts(textsOf(exported), exported.length, "export", document.title);
    return;
  }
  const { opened, why } = await openServer(session, opener);
  if (opened) return;
  await opener.openSample();
  if (why !== undefined) session.say(why);
}

/** Of each element once: what was read is not held twice. */
function* textsOf(elements: Iterable<Element>): Generator<string, void, undefined> {
  for (const element of elements) {
    yield (element.textContent ?? "").trimStart();
    element.remove();
  }
}

/** Files only: text that is dragged into a field is that field's. */
function listenToDrops(): void {
  document.addEventListener("dragover", (drag) => {
    if (drag.dataTransfer?.types.includes("Files") !== true) return;
    drag.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", () => {
    document.body.classList.remove("dropping");
  });
  document.addEventListener("drop", (drop) => {
    document.body.classList.remove("dropping");
    const files = [...(drop.dataTransfer?.files ?? [])];
    if (files.length === 0) return;
    drop.preventDefault();
    tell(session, opener.openDropped(files));
  });
}
