import { statSync, watch, type FSWatcher } from "node:fs";
import { namesIn } from "./segment.ts";
import { join } from "node:path";

/**
 * Calls back when something in a folder changed. The system tells at once where it can; looking every so often finds the rest (a folder that is
 * not there yet, a system out of watches). One watch and one timer, however many callbacks; both end with the last one.
 */
export interface FolderWatch {
  add(onChange: () => void): () => void;
}

export function folderWatch(folder: string, everyMs: number, onIdle: () => void = () => {}): FolderWatch {
  const callbacks = new Set<() => void>();
  let watcher: FSWatcher | undefined;
  let timer: NodeJS.Timeout | undefined;
  let seen = "";
  let told = false;

  /** Not while somebody writes, and once for a burst. */
  function tell(): void {
    if (told) return;
    told = true;
    setImmediate(() => {
      told = false;
      for (const callback of callbacks) callback();
    });
  }

  function listen(): void {
    if (watcher !== undefined) return;
    try {
      watcher = watch(folder, { persistent: false }, tell);
      watcher.on("error", deafen);
    } catch {
      watcher = undefined;
    }
  }

  function deafen(): void {
    watcher?.close();
    watcher = undefined;
  }

  function look(): void {
    const now = stateOf(folder);
    if (now === seen) return;
    // Another folder of the same name: the watch is on the one that is gone.
    if (now.split("\n", 1)[0] !== seen.split("\n", 1)[0]) deafen();
    seen = now;
    listen();
    tell();
  }

  return {
    add(onChange) {
      const callback = (): void => {
        if (callbacks.has(callback)) onChange();
      };
      callbacks.add(callback);
      if (callbacks.size === 1) {
        seen = stateOf(folder);
        listen();
        // Who only listens for what others may say does not keep the process; who waits for it has a timer of its own.
        timer = setInterval(look, everyMs).unref();
      }
      return () => {
        if (!callbacks.delete(callback) || callbacks.size > 0) return;
        deafen();
        clearInterval(timer);
        onIdle();
      };
    },
  };
}

/** Which folder it is, and the names and sizes in it. */
function stateOf(folder: string): string {
  const { ino } = statSync(folder, { throwIfNoEntry: false }) ?? { ino: 0 };
  const files = namesIn(folder).map((name) => {
    const stat = statSync(join(folder, name), { throwIfNoEntry: false });
    return `${name} ${stat?.ino} ${stat?.size}`;
  });
  return [ino, ...files].join("\n");
}
