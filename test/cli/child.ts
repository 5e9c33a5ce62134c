import { spawn, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
export const MAIN = fileURLToPath(new URL("../../runtime/cli/main.ts", import.meta.url));
/** How `npm start` runs the command. */
// By its address: a process may start in a folder that has no packages.
export const NODE_OPTIONS = ["--conditions=source", "--import", import.meta.resolve("tsx")];

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface Child {
  readonly process: ChildProcess;
  /** Resolves when stdout and stderr together match. Rejects when the process ends before. */
  until(pattern: RegExp): Promise<void>;
  readonly ended: Promise<Ended>;
}

/** Starts the command as a process of its own, with no model in the environment but what the test says, and no log either. */
export function start(
  args: readonly string[],
  input = "",
  env: Readonly<Record<string, string>> = {},
  cwd = ROOT,
): Child {
  const { OPENAI_API_KEY: _key, OPENAI_BASE_URL: _url, RUBATO_MODEL: _model, ...inherited } = process.env;
  const child = spawn(process.execPath, [...NODE_OPTIONS, MAIN, ...args], {
    cwd,
    env: { ...inherited, RUBATO_LOG: "none", ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let out = "";
  let err = "";
  let over = false;
  const waiting = new Set<() => void>();
  const check = (): void => {
    for (const wake of waiting) wake();
  };
  child.stdout.setEncoding("utf8").on("data", (piece: string) => {
    out += piece;
    check();
  });
  child.stderr.setEncoding("utf8").on("data", (piece: string) => {
    err += piece;
    check();
  });
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const ended = new Promise<Ended>((resolve) => {
    child.on("close", (code) => {
      over = true;
      check();
      resolve({ code, out, err });
    });
  });
  return {
    process: child,
    ended,
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (pattern.test(out + err)) resolve();
          else if (over) reject(new Error(`The process ended before ${pattern}:\n${out}\n${err}`));
          else return;
          waiting.delete(look);
        };
        waiting.add(look);
        look();
      }),
  };
}

export function rubato(
  args: readonly string[],
  input = "",
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  return start(args, input, env).ended;
}
