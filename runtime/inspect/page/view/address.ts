import { hashOf, placeOf, type Place } from "../model/place.ts";
import type { Opener } from "./opener.ts";
import type { Session } from "./session.ts";

/** How long after a change the address is written, ms: browsers refuse one that changes with every frame. */
const WRITTEN_AFTER = 600;

/** The place that is shown, as far as it can be opened again: of a file that was dropped nothing is left when the page is loaded anew. */
export function placeShown(session: Session): Place {
  const { origin, served, title, main } = session;
  const seq = session.following ? undefined : session.seq;
  switch (origin) {
    case "run":
      return { run: main.recording.runId || title, seq };
    case "export":
      return { run: main.recording.runId, seq };
    case "file":
      // With its file: whoever loads the page anew asks a server for it that has no runs.
      return served === undefined ? {} : { run: main.recording.runId, seq, file: served };
    case "sample":
      return { sample: true, seq };
    case "none":
      return {};
  }
}

/** Goes where an address says that was typed, followed, or gone back to. False: that is not here, the whole page has to come anew. */
export function goToPlace(session: Session, opener: Opener, place: Place): boolean {
  const { connection } = session;
  const shown = placeShown(session);
  if (place.token !== undefined || place.file !== shown.file) return false;
  if (place.sample === true && shown.sample !== true) {
    opener.openSample(place.seq).catch((error: unknown) => {
      session.say(String(error));
    });
  } else if (place.run !== undefined && place.run !== shown.run) {
    if (connection === undefined) return false;
    opener.openRun(connection, place.run, place.seq);
  } else if (place.run !== undefined || place.sample === true) {
    session.goTo(place.seq ?? session.endSeq);
  }
  return true;
}

/**
 * Keeps run and moment in the address, so that it can be sent to somebody, and goes where it says. What was open before is what the browser goes
 * back to; a moment is none.
 */
export function keepAddress(session: Session, opener: Opener): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const write = (): void => {
    timer = undefined;
    if (session.main.recording.runId === "") return;
    const place = placeShown(session);
    const hash = hashOf(place);
    if (hash === location.hash) return;
    const url = hash === "" ? location.pathname + location.search : hash;
    const before = nameOf(placeOf(location.hash));
    if (before !== undefined && before !== nameOf(place)) history.pushState(null, "", url);
    else history.replaceState(null, "", url);
  };
  session.subscribe(() => {
    timer ??= setTimeout(write, WRITTEN_AFTER);
  });
  addEventListener("hashchange", () => {
    // What was not written yet is of the place before.
    clearTimeout(timer);
    timer = undefined;
    if (goToPlace(session, opener, placeOf(location.hash))) session.changed();
    else location.reload();
  });
}

/** What is open at a place, whatever its moment. */
function nameOf({ file, run, sample }: Place): string | undefined {
  if (file !== undefined) return `file ${file}`;
  if (run !== undefined) return `run ${run}`;
  return sample === true ? "sample" : undefined;
}

/** The token of the address, which is taken out of it, or the one that was said before in this tab. */
export function takeToken(): string | undefined {
  const { token, ...place } = placeOf(location.hash);
  if (token !== undefined) {
    history.replaceState(null, "", hashOf(place) || location.pathname + location.search);
    keepToken(token);
    return token;
  }
  try {
    return sessionStorage.getItem("rubato-token") ?? undefined;
  } catch {
    return undefined;
  }
}

export function keepToken(token: string): void {
  try {
    sessionStorage.setItem("rubato-token", token);
  } catch {
    // A browser that keeps nothing asks again.
  }
}
