import { EXIT } from "./exit-code.ts";

/** `npm start` passes on the Ctrl-C that the terminal has sent already: what comes sooner is the same key. */
const SAME_KEY_MS = 200;

/** The first SIGINT or SIGTERM asks to stop, a second SIGINT leaves at once. Answers the undo. */
export function onSignal(stop: (exitCode: number) => void): () => void {
  let asked: number | undefined;
  const interrupt = (): void => {
    if (asked !== undefined && performance.now() - asked > SAME_KEY_MS) process.exit(EXIT.interrupted);
    if (asked === undefined) stop(EXIT.interrupted);
    asked ??= performance.now();
  };
  const terminate = (): void => {
    asked ??= performance.now();
    stop(EXIT.terminated);
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", terminate);
  return () => {
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", terminate);
  };
}

/** For the chat: signals that other programs send: raw mode keeps Ctrl-C from being one. Answers the undo. */
export function onTermination(interrupt: () => void, leave: (code: number) => void): () => void {
  const terminate = (): void => {
    leave(EXIT.terminated);
  };
  const hangUp = (): void => {
    leave(EXIT.hungUp);
  };
  process.on("SIGINT", interrupt).on("SIGTERM", terminate).on("SIGHUP", hangUp);
  return () => {
    process.off("SIGINT", interrupt).off("SIGTERM", terminate).off("SIGHUP", hangUp);
  };
}
