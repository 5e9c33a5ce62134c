import { opendir } from "node:fs/promises";
import { join } from "node:path";
import { fileProblem } from "./root.ts";

/** Folders that are skipped below the folder that was asked for (asking for one of them by name lists it). */
export const skippedFolders: ReadonlySet<string> = new Set(["node_modules", ".git", ".rubato"]);

/** Entries that one walk looks at before it gives up. */
export const maxEntries = 100_000;

export interface Walk {
  /** Regular files, relative to the folder, with `/`, sorted by code unit. */
  readonly files: readonly string[];
  /** Folders directly in the folder, sorted; skipped ones too. */
  readonly folders: readonly string[];
  /** False when the walk gave up after {@link maxEntries} entries, so that there are more files than listed. */
  readonly complete: boolean;
}

/**
 * Collects the regular files of a folder. Symbolic links are neither followed nor listed, so a walk cannot leave its folder or run in a
 * circle. A folder below that cannot be read is left out.
 * @throws {Error} When the folder itself cannot be read; the signal's reason when it aborts.
 */
export async function walk(
  folder: { readonly real: string; readonly name: string },
  options: { readonly recursive: boolean; readonly signal: AbortSignal },
): Promise<Walk> {
  const files: string[] = [];
  const folders: string[] = [];
  // A list instead of recursion: a deep tree must not overflow the stack.
  const waiting = [""];
  let seen = 0;
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    options.signal.throwIfAborted();
    try {
      for await (const entry of await opendir(join(folder.real, at), { bufferSize: 256 })) {
        if (++seen > maxEntries) return { files: files.sort(), folders: folders.sort(), complete: false };
        if (seen % 256 === 0) options.signal.throwIfAborted();
        const name = at === "" ? entry.name : `${at}/${entry.name}`;
        if (entry.isFile()) files.push(name);
        if (!entry.isDirectory()) continue;
        if (at === "") folders.push(name);
        if (options.recursive && !skippedFolders.has(entry.name)) waiting.push(name);
      }
    } catch (error) {
      options.signal.throwIfAborted();
      if (at === "") throw fileProblem(error, folder.name);
    }
  }
  return { files: files.sort(), folders: folders.sort(), complete: true };
}
