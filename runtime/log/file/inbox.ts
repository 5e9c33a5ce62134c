import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import type { Json } from "../../../machines/events.ts";
import { RubatoError } from "../../errors.ts";
import { isRunId, type Inbox, type PostedCommand } from "../event-log.ts";
import { codeOf, FILE_MODE, folderOf, INBOX, storageError } from "./folder.ts";
import { isAlive, isOwner, thisProcess, type Owner } from "./owner.ts";
import { namesIn } from "./segment.ts";
import { folderWatch } from "./watch.ts";

/**
 * Commands as files, one folder for all runs: `<id>.<run>.post`, which the owner renames to `.taken`, and `.answer`. Files appear by rename, so
 * nobody reads half of one.
 *
 * B1 Taking is a rename and withdrawing is a removal of the same name: one of the two succeeds. B2 Ids begin with the time and a count, so
 * names in order are commands in order; posts of one process never go back in time. B3 What nobody will fetch any more goes: answers and taken
 * commands whose poster has ended, and posts whose poster ended an hour ago (until then an owner may still take them: they were said).
 */
const ABANDONED_MS = 3_600_000;

interface Letter {
  readonly from: Owner;
  readonly command: Json;
}

interface Name {
  readonly file: string;
  readonly id: string;
  readonly folder: string;
  readonly kind: string;
}

let latest = 0;

/** Sorts by the time at which it was made, within this process strictly. */
function newId(now: number): string {
  latest = Math.max(latest + 1, now * 1_000);
  return `${String(latest).padStart(17, "0")}-${randomUUID()}`;
}

export function fileInbox(
  root: string,
  { isNewest, pollMs, now }: { isNewest: (runId: string, epoch: number) => boolean; pollMs: number; now: () => number },
): Inbox {
  const folder = join(root, INBOX);
  const watching = folderWatch(folder, pollMs);
  let swept = -Infinity;

  const nameOf = (runId: string, id: string, kind: string): string => join(folder, `${id}.${folderOf(runId)}.${kind}`);

  function put(path: string, text: string): void {
    const temporary = join(folder, `.tmp-${randomUUID()}`);
    try {
      writeFileSync(temporary, text, { mode: FILE_MODE, flag: "wx" });
      renameSync(temporary, path);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw storageError(root, error);
    }
  }

  function names(): Name[] {
    return namesIn(folder)
      .sort()
      .map((file) => {
        const dot = file.indexOf(".");
        const end = file.lastIndexOf(".");
        return { file, id: file.slice(0, dot), folder: file.slice(dot + 1, end), kind: file.slice(end + 1) };
      });
  }

  /** B3. Looks at most once a minute: most of the time there is nothing. */
  function sweep(all: readonly Name[]): void {
    const time = now();
    if (time - swept < 60_000) return;
    swept = time;
    for (const { file, kind } of all) {
      const path = join(folder, file);
      const old = time - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? time) > ABANDONED_MS;
      if (file.startsWith(".")) {
        if (old) rmSync(path, { force: true });
      } else if (old || kind !== "post") {
        const letter = letterAt(path);
        if (letter === undefined || !isAlive(letter.from)) rmSync(path, { force: true });
      }
    }
  }

  return {
    post(runId, command) {
      checkRunId(runId);
      const id = newId(now());
      put(nameOf(runId, id, "post"), JSON.stringify({ from: thisProcess(), command }));
      return id;
    },
    take(runId, epoch) {
      if (!isRunId(runId) || !isNewest(runId, epoch)) return [];
      const all = names();
      sweep(all);
      const taken: PostedCommand[] = [];
      const wanted = folderOf(runId);
      for (const { file, id, kind, folder: of } of all) {
        if (kind !== "post" || of !== wanted) continue;
        const path = nameOf(runId, id, "taken");
        if (!moved(join(folder, file), path)) continue;
        const letter = letterAt(path);
        if (letter !== undefined) taken.push({ id, command: letter.command });
      }
      return taken;
    },
    answer(runId, id, answer) {
      if (!isRunId(runId) || !isId(id)) return;
      const taken = nameOf(runId, id, "taken");
      const letter = letterAt(taken);
      if (letter === undefined) return;
      put(nameOf(runId, id, "answer"), JSON.stringify({ from: letter.from, command: answer }));
      rmSync(taken, { force: true });
    },
    answered(runId, id) {
      if (!isRunId(runId) || !isId(id)) return undefined;
      const path = nameOf(runId, id, "answer");
      const letter = letterAt(path);
      // Of two that ask at once one gets it.
      return letter !== undefined && removed(path) ? letter.command : undefined;
    },
    withdraw: (runId, id) => isRunId(runId) && isId(id) && removed(nameOf(runId, id, "post")),
    watch: (_runId, onChange) => watching.add(onChange),
  };
}

function checkRunId(runId: string): void {
  const known: boolean = isRunId(runId);
  if (!known) throw new RubatoError("unknown_run", `There is no run "${runId}".`);
}

/** What is no id that a post answered is no part of a path either. */
function isId(id: string): boolean {
  return /^[0-9]{17,}-[0-9a-f-]{36}$/.test(id);
}

function letterAt(path: string): Letter | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, "utf8"));
    return isLetter(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isLetter(value: unknown): value is Letter {
  return typeof value === "object" && value !== null && "from" in value && isOwner(value.from) && "command" in value;
}

function moved(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false;
    throw error;
  }
}

function removed(path: string): boolean {
  try {
    rmSync(path);
    return true;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false;
    throw error;
  }
}
