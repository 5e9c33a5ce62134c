import { EXIT } from "./exit-code.ts";

/** `npm start` passes on the Ctrl-C that the terminal has sent already: what comes sooner is the same key. */
const SAME_KEY_MS = 200;

/** The first signal asks to stop, a second one leaves at once. Answers the undo. */
export function onSignal(stop: (exitCode: number) => void): () => void {
  let asked: number | undefined;
  const signalled = (code: number): void => {
    if (asked !== undefined && performance.now() - asked > SAME_KEY_MS) process.exit(code);
    if (asked === undefined) stop(code);
    asked ??= performance.now();
  };
  return listen({
    interrupt: () => {
      signalled(EXIT.interrupted);
    },
    terminate: () => {
      signalled(EXIT.terminated);
    },
    hangUp: () => {
      signalled(EXIT.hungUp);
    },
  });
}

/** For the chat: signals that other programs send: raw mode keeps Ctrl-C from being one. A second one leaves at once. Answers the undo. */
export function onTermination(interrupt: () => void, leave: (code: number) => void): () => void {
  let asked = false;
  const leaving = (code: number): void => {
    if (asked) process.exit(code);
    asked = true;
    leave(code);
  };
  return listen({
    interrupt,
    terminate: () => {
      leaving(EXIT.terminated);
    },
    hangUp: () => {
      leaving(EXIT.hungUp);
    },
  });
}

function listen(on: Readonly<Record<"interrupt" | "terminate" | "hangUp", () => void>>): () => void {
  process.on("SIGINT", on.interrupt).on("SIGTERM", on.terminate).on("SIGHUP", on.hangUp);
  return () => {
    process.off("SIGINT", on.interrupt).off("SIGTERM", on.terminate).off("SIGHUP", on.hangUp);
  };
}
