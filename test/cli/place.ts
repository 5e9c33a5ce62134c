import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { rubato, type Ended } from "./child.ts";

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A folder of its own, and the command line in it. */
export function place(): {
  readonly folder: string;
  readonly env: { RUBATO_LOG: string };
  rubato(...argv: string[]): Promise<Ended>;
} {
  const folder = mkdtempSync(join(tmpdir(), "rubato-cli-"));
  folders.push(folder);
  const env = { RUBATO_LOG: join(folder, "runs") };
  return { folder, env, rubato: (...argv) => rubato(argv, "", env) };
}
