import { constants, type Stats } from "node:fs";
import { lstat, open, realpath, type FileHandle } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from "node:path";

/**
 * The folder that file tools may not leave.
 *
 * 1. A path is inside when its **real** path (all links resolved) lies below the real path of the root, compared folder by folder: never by
 *    prefix, so `/a/root-evil` is outside of `/a/root`.
 * 2. Nothing outside is touched to find that out: a path that leaves the root by its letters is refused before the disk is asked.
 * 3. Only regular files are opened, without following a link and without blocking, and the open handle is checked again.
 *
 * Not covered: a hard link to a file outside (it has no other real path), and a program that swaps folders of the root for links while a
 * call runs.
 */

/** What a path of the model turned out to be: a place that exists inside the root. */
export interface Place {
  /** Absolute, all links resolved. */
  readonly real: string;
  /** Relative to the root, with `/`; "." for the root itself. */
  readonly name: string;
  readonly stats: Stats;
}

/** The kernel's folders: their "files" are devices, endless, or the secrets of this process. Refused even where the root is `/`. */
const kernelFolders = ["/proc", "/sys", "/dev"];

/**
 * Finds `path` (relative to `root`, or absolute) inside `root`.
 * @throws {Error} One sentence: outside of the root, missing, or not readable.
 */
export async function placeInside(root: string, path: string): Promise<Place> {
  const { realRoot, lexical } = await lettersInside(root, path);
  let real: string;
  try {
    real = await realpath(lexical);
  } catch (error) {
    // "Missing" must not become an answer about what exists behind a link that leaves the root.
    const parent = await nearestRealParent(lexical);
    if (parent !== undefined && !contains(realRoot, parent)) throw outside(path);
    throw fileProblem(error, path);
  }
  checkReal(realRoot, real, path);
  try {
    return { real, name: nameInside(realRoot, real), stats: await lstat(real) };
  } catch (error) {
    throw fileProblem(error, path);
  }
}

/**
 * Opens a regular file inside the root for reading. The caller closes the handle.
 * @throws {Error} As {@link placeInside}, and for folders, pipes, sockets and devices.
 */
export async function openInside(
  root: string,
  path: string,
): Promise<{ readonly place: Place; readonly handle: FileHandle }> {
  const place = await placeInside(root, path);
  if (place.stats.isDirectory()) throw new Error(`"${path}" is a folder. Use list_files, or name a file in it.`);
  if (!place.stats.isFile()) throw notRegular(path);
  let handle: FileHandle;
  try {
    // O_NONBLOCK: a pipe put there after the check would otherwise hold the open for ever. Both flags are 0 where unknown (Windows).
    handle = await open(place.real, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    throw fileProblem(error, path);
  }
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw notRegular(path);
    return { place: { ...place, stats }, handle };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Where a file is to be written: it is there, or it can be made, with the folders that are missing. */
export type Target =
  | { readonly exists: true; readonly place: Place }
  | {
      readonly exists: false;
      /** Absolute; all links of the folders that exist are resolved, and nothing below them is there. */
      readonly real: string;
      readonly name: string;
    };

/**
 * Finds a place to write inside `root`, also where the file or its folders do not exist yet. Makes nothing.
 * @throws {Error} As {@link placeInside}; and where the path goes through a file, or through a link to nothing: who knows where that leads.
 */
export async function targetInside(root: string, path: string): Promise<Target> {
  const { realRoot, lexical } = await lettersInside(root, path);
  try {
    return { exists: true, place: await placeInside(root, path) };
  } catch (error) {
    if (!(error instanceof Error) || !["ENOENT", "ENOTDIR"].includes(codeOf(error.cause))) throw error;
  }
  const missing: string[] = [];
  // Upwards from the file: the first that is there has to be a folder.
  for (let at = lexical; ; at = dirname(at)) {
    if (!(await isThere(at, path))) {
      missing.unshift(basename(at));
      continue;
    }
    let real: string;
    let stats: Stats;
    try {
      real = await realpath(at);
      stats = await lstat(real);
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw fileProblem(error, path);
      throw new Error(`"${path}" goes through a link to nothing. Use a path without it.`, { cause: error });
    }
    checkReal(realRoot, real, path);
    if (!stats.isDirectory()) throw new Error(`"${path}" goes through a file. Use a path through folders.`);
    const target = join(real, ...missing);
    return { exists: false, real: target, name: nameInside(realRoot, target) };
  }
}

/** Links count as what they are, not as what they lead to. */
async function isThere(at: string, path: string): Promise<boolean> {
  try {
    await lstat(at);
    return true;
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(codeOf(error))) return false;
    throw fileProblem(error, path);
  }
}

/** The first look at a path: by its letters. */
async function lettersInside(root: string, path: string): Promise<{ realRoot: string; lexical: string }> {
  if (path.includes("\0")) throw new Error("The path contains a NUL byte. Ask for a plain path.");
  const realRoot = await realRootOf(root);
  const lexical = resolve(realRoot, path);
  // An absolute path may be spelled with the root's own links ("/tmp/x" where /tmp is a link): both spellings are the root.
  if (!contains(realRoot, lexical) && !contains(resolve(root), lexical)) throw outside(path);
  return { realRoot, lexical };
}

/** The second look: where it really is. */
function checkReal(realRoot: string, real: string, path: string): void {
  if (!contains(realRoot, real)) throw outside(path);
  for (const folder of kernelFolders) {
    if (contains(folder, real) && !contains(folder, realRoot)) throw outside(path);
  }
}

/** The name of a real path relative to the real root, with `/` on every system. */
function nameInside(realRoot: string, real: string): string {
  const name = relative(realRoot, real);
  return name === "" ? "." : name.split(sep).join("/");
}

/** The root with all its links resolved. */
async function realRootOf(root: string): Promise<string> {
  try {
    return await realpath(root);
  } catch (error) {
    throw new Error(
      `The root folder of the file tools cannot be read (${codeOf(error)}). Give them a folder that exists.`,
      {
        cause: error,
      },
    );
  }
}

/** The sentence for an error of the file system. Never holds an absolute path, which could tell the model where it runs. */
export function fileProblem(error: unknown, path: string): Error {
  const code = codeOf(error);
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return new Error(`"${path}" does not exist. Use list_files to see what is there.`, { cause: error });
    case "EACCES":
    case "EPERM":
      return new Error(`"${path}" may not be read: permission denied.`, { cause: error });
    case "ENAMETOOLONG":
      return new Error(`"${path}" has a name that is too long for the system. Use a shorter one.`, { cause: error });
    case "ELOOP":
      return new Error(`"${path}" is a link that leads to itself or changed meanwhile. Name the file itself.`, {
        cause: error,
      });
    default:
      return new Error(`"${path}" cannot be read (${code}).`, { cause: error });
  }
}

function contains(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way === "" || (way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way));
}

function outside(path: string): Error {
  return new Error(`"${path}" is outside of the folder that file tools may use. Use a path inside it.`);
}

export function notRegular(path: string): Error {
  return new Error(`"${path}" is a pipe, socket or device, not a regular file. Name a regular file.`);
}

/** The real path of the nearest folder above that exists. */
async function nearestRealParent(path: string): Promise<string | undefined> {
  for (let at = dirname(path); ; at = dirname(at)) {
    try {
      return await realpath(at);
    } catch {
      if (dirname(at) === at) return undefined;
    }
  }
}

export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "unknown error";
}
