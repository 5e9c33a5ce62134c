import type { Event, Run } from "rubato";

// One person at the keyboard. Without a terminal a scripted one plays, who needs no keys and waits for nothing, so that the demos run in the
// test suite: it goes on at every pause and presses Esc at the very event that the demo names.

/** True when somebody is there: keys can be read and the screen can be seen. */
export const live = process.stdin.isTTY && process.stdout.isTTY;

const ESC = "\x1b";

/** Space and Enter, Esc, or a letter. */
type Key = string;
const listeners = new Set<(key: Key) => void>();
let listening = false;

/** "Press space to go on." The scripted person goes on at once. */
export async function goOn(prompt = "go on"): Promise<void> {
  if (!live) return;
  process.stdout.write(`\x1b[2m  [space: ${prompt}]\x1b[22m`);
  await nextKey("space").pressed;
  process.stdout.write("\r\x1b[K");
}

/**
 * Resolves with true when Esc is pressed, or with false when the run came to rest before. The scripted person presses it at the first event
 * that `when` names.
 */
export async function escape(run: Run, when: (event: Event) => boolean): Promise<boolean> {
  const key = live ? nextKey("escape") : firstEvent(run, when);
  const pressed = await Promise.race([key.pressed, run.settled().then(() => false)]);
  key.forget();
  return pressed;
}

/** While it works Esc stops it, whatever the demo is about. The scripted person lets it run. */
export function stoppable(run: Run): void {
  if (!live) return;
  escape(run, () => false)
    .then((pressed) => (pressed ? run.interrupt("Esc", { mode: "now" }) : undefined))
    .catch((error: unknown) => {
      console.error(error);
    });
}

/** The key that the person presses of those offered, each with what it means. The scripted person presses `scripted`. */
export async function choose<Choice extends string>(
  choices: Readonly<Record<Choice, string>>,
  scripted: NoInfer<Choice>,
): Promise<Choice> {
  if (!live) return scripted;
  const keys = Object.entries(choices).map(([key, meaning]) => `${key}: ${String(meaning)}`);
  process.stdout.write(`\x1b[2m  [${keys.join(", ")}]\x1b[22m`);
  const isChoice = (key: string): key is Choice => Object.hasOwn(choices, key);
  const pressed = await new Promise<Choice>((resolve) => {
    const forget = onKeys((key) => {
      if (!isChoice(key)) return;
      forget();
      resolve(key);
    });
  });
  process.stdout.write("\r\x1b[K");
  return pressed;
}

interface Awaited {
  readonly pressed: Promise<boolean>;
  readonly forget: () => void;
}

function nextKey(wanted: Key): Awaited {
  let forget = (): void => {};
  const pressed = new Promise<boolean>((resolve) => {
    forget = onKeys((key) => {
      if (key !== wanted) return;
      forget();
      resolve(true);
    });
  });
  return { pressed, forget };
}

/** Calls back with each key; answers the undo. */
function onKeys(listener: (key: Key) => void): () => void {
  listen();
  listeners.add(listener);
  process.stdin.ref();
  return () => {
    listeners.delete(listener);
    // Nobody waits for a key: then the terminal alone does not keep the process alive.
    if (listeners.size === 0) process.stdin.unref();
  };
}

function firstEvent(run: Run, when: (event: Event) => boolean): Awaited {
  let forget = (): void => {};
  const pressed = new Promise<boolean>((resolve) => {
    forget = run.subscribe("*", (event) => {
      if (when(event)) resolve(true);
    });
  });
  return { pressed, forget };
}

/** Takes the keyboard for the rest of the process, which gives it back at its end. */
function listen(): void {
  if (listening) return;
  listening = true;
  process.stdin.setRawMode(true);
  process.on("exit", () => process.stdin.setRawMode(false));
  process.stdin.setEncoding("utf8").on("data", (bytes: string) => {
    // In raw mode Ctrl-C is a key like any other.
    if (bytes.includes("\x03")) process.exit(130);
    const key = keyOf(bytes);
    for (const onKey of listeners) onKey(key);
  });
}

/** Esc and what is pressed right behind it may come as one; longer sequences are other keys. */
function keyOf(bytes: string): Key {
  if (bytes.startsWith(ESC) && !/^(?:\[[\d;]*[A-Za-z~]|O[A-DFHP-S])$/.test(bytes.slice(1))) return "escape";
  return bytes === " " || bytes === "\r" ? "space" : bytes;
}
