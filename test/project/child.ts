import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs a program of Node's to its end, without a terminal and without a model in the environment. */
export function node(args: readonly string[], { cwd = ROOT }: { readonly cwd?: string } = {}): Promise<Ended> {
  const { OPENAI_API_KEY: _key, OPENAI_BASE_URL: _url, RUBATO_MODEL: _model, ...env } = process.env;
  const child = spawn(process.execPath, [...args], { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  let err = "";
  child.stdout.setEncoding("utf8").on("data", (piece: string) => {
    out += piece;
  });
  child.stderr.setEncoding("utf8").on("data", (piece: string) => {
    err += piece;
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      resolve({ code, out, err });
    });
  });
}

/** Runs a TypeScript file as the npm scripts do, with the package found by its name from the sources. */
export function source(file: string, ...args: readonly string[]): Promise<Ended> {
  return node(["--conditions=source", "--import", "tsx", file, ...args]);
}
