import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileLog } from "../log/file.ts";
import type { EventLog } from "../log/event-log.ts";
import { memoryLog } from "../log/memory.ts";
import type { LogChoice } from "./settings.ts";

/** The log to write to. Throws {@link RubatoError} `log` for a folder that cannot hold one. */
export function openLog(choice: LogChoice): EventLog {
  if (choice.kind === "memory") return memoryLog();
  const folder = resolve(choice.folder);
  if (choice.ours) keepOutOfRepositories(dirname(folder));
  return fileLog(folder);
}

/** The log to read, where there is one: looking for runs must not make a folder. */
export function openExistingLog(choice: LogChoice): EventLog | undefined {
  if (choice.kind === "memory" || !existsSync(choice.folder)) return undefined;
  return fileLog(resolve(choice.folder));
}

/** Conversations do not belong into a commit by accident. */
function keepOutOfRepositories(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(join(folder, ".gitignore"), "*\n", { flag: "wx" });
  } catch {
    // It is there already, or the folder cannot be written: then the log says so.
  }
}
