import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("./log-child.ts", import.meta.url));

/** Starts log-child.ts, and waits until it is ready to begin. */
export async function startChild(...args: readonly string[]): Promise<ChildProcess> {
  const child = fork(PROGRAM, args, { execArgv: ["--conditions=source", "--import", "tsx"], stdio: "ignore" });
  await message(child);
  return child;
}

/** The next thing that a child says. Rejects when it ends first. */
export function message(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const onExit = (): void => {
      reject(new Error("the child ended"));
    };
    child.once("exit", onExit);
    child.once("message", (said) => {
      child.off("exit", onExit);
      resolve(said);
    });
  });
}

export function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    else
      child.once("exit", () => {
        resolve();
      });
  });
}
