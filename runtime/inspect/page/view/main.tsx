import "./no-eval.ts";
import { render } from "preact";
import sample from "../sample.jsonl";
import { placeOf } from "../model/place.ts";
import { App } from "./app.tsx";
import { onTheme } from "./colors.ts";
import { markOnceDrawn } from "./feeder.ts";
import { tell } from "./header.tsx";
import { listenToKeys } from "./keys.ts";
import { keepAddress, Opener } from "./opener.ts";
import { Player } from "./player.ts";
import { Session } from "./session.ts";
import { openServer } from "./server.ts";

const session = new Session();
const player = new Player(session);
const opener = new Opener(session, sample);
const root = document.querySelector("#app");
if (root !== null) {
  root.replaceChildren();
  render(<App session={session} player={player} opener={opener} />, root);
}
listenToKeys(session, player);
keepAddress(session);
onTheme(() => {
  session.changed();
});
listenToDrops();
markOnceDrawn("rubato:usable");
tell(session, begin());

/** What an exported page holds, what the address names, what the server has; else the sample. */
async function begin(): Promise<void> {
  const { seq } = placeOf(location.hash);
  const exported = document.querySelector("script#log")?.textContent;
  if (typeof exported === "string") {
    await opener.openText(exported.trim(), "export", document.title);
  } else if (!(await openServer(session, opener))) {
    await opener.openSample();
  }
  if (seq !== undefined && session.origin !== "run") session.goTo(seq);
}

function listenToDrops(): void {
  document.addEventListener("dragover", (drag) => {
    drag.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", () => {
    document.body.classList.remove("dropping");
  });
  document.addEventListener("drop", (drop) => {
    drop.preventDefault();
    document.body.classList.remove("dropping");
    const [file] = drop.dataTransfer?.files ?? [];
    if (file !== undefined) tell(session, opener.openFile(file));
  });
}
