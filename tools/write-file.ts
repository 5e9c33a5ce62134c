import { randomUUID } from "node:crypto";
import { access, constants, link, mkdir, open, realpath, rename, rm, rmdir, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { codeOf, fileProblem, notRegular, targetInside, type Target } from "./root.ts";
import { defineTool, type ApprovalPolicy } from "./tool.ts";

const maxBytes = 1024 * 1024;

const input = z.object({
  path: z.string().min(1).max(4096).describe("The file, relative to the root. Missing folders are made"),
  content: z
    .string()
    .refine((text) => Buffer.byteLength(text) <= maxBytes, "At most 1 MiB: write less at a time")
    .describe("All of the file's text"),
  overwrite: z.boolean().default(false).describe("Whether an existing file is replaced. Default: it is an error"),
});

export interface WriteFileOptions {
  /** The folder that a path may not leave. */
  readonly root: string;
  /** Default `always`. */
  readonly approval?: ApprovalPolicy<z.output<typeof input>>;
}

/**
 * Tool `write_file`: writes a text file inside `root`, as UTF-8, at most 1 MiB, with the folders that are missing.
 *
 * Answers `{ path, bytes, created }`; `created: false` where an existing file was replaced, which takes `overwrite: true`. Whoever reads the file
 * meanwhile, and whatever fails or stops the call, finds the old file or the new one, never a part: it is written beside its place, flushed and
 * moved there. An existing file keeps its mode; other names of it (hard links) keep the old content. Nothing is written into `.git` and `.rubato`:
 * there a file is more than a text, a hook that runs or a log that is checked.
 */
export function writeFile(options: WriteFileOptions) {
  return defineTool({
    name: "write_file",
    description:
      "Writes a text file: its whole content. A file that exists is only replaced with overwrite: true, so read it first.",
    input,
    approval: options.approval ?? "always",
    // In the order of the calls with what reads or runs the file in the same step.
    exclusive: true,
    // The model can look at the file: no person has to.
    onCrash: "report",
    async execute({ path, content, overwrite }, { signal }) {
      if (/(?:^|[/\\])\.{0,2}$/.test(path)) throw new Error(`"${path}" names a folder. Name a file.`);
      const target = await targetInside(options.root, path);
      const place = await checkTarget(target, path, overwrite);
      signal.throwIfAborted();
      const made: string[] = [];
      const beside = join(dirname(place.real), `.${randomUUID()}.tmp`);
      let done = false;
      try {
        await makeFolders(dirname(place.real), made);
        // What was looked at may have changed: a folder of the way may be a link now.
        if ((await realpath(dirname(place.real))) !== dirname(place.real))
          throw new Error(`"${path}" changed meanwhile. Try again.`);
        await writeNew(beside, content, place.mode);
        signal.throwIfAborted();
        await (overwrite ? rename(beside, place.real) : moveToNew(beside, place.real, path));
        done = true;
        return { path: place.name, bytes: Buffer.byteLength(content), created: !target.exists };
      } catch (error) {
        throw writeProblem(error, path);
      } finally {
        await rm(beside, { force: true }).catch(nothing);
        // Not empty: somebody else uses it by now.
        if (!done) for (const folder of made.reverse()) await rmdir(folder).catch(nothing);
      }
    },
  });
}

interface Destination {
  readonly real: string;
  readonly name: string;
  /** Of the file that is replaced. */
  readonly mode: number | undefined;
}

/** Names of folders, in lower case as some systems compare them, whose files are no plain texts. */
const keptOut: ReadonlySet<string> = new Set([".git", ".rubato"]);

async function checkTarget(target: Target, path: string, overwrite: boolean): Promise<Destination> {
  const { real, name } = target.exists ? target.place : target;
  const kept = name.split("/").find((part) => keptOut.has(part.toLowerCase()));
  if (kept !== undefined)
    throw new Error(`"${path}" lies in ${kept}, where nothing is written. Choose another folder.`);
  if (!target.exists) return { real, name, mode: undefined };
  const { stats } = target.place;
  if (stats.isDirectory()) throw new Error(`"${path}" is a folder. Name a file.`);
  if (!stats.isFile()) throw notRegular(path);
  if (!overwrite) throw alreadyThere(path);
  // Moving another file in its place would not ask for this.
  const writable = (stats.mode & 0o222) !== 0 && (await access(real, constants.W_OK).then(yes, no));
  if (!writable) throw new Error(`"${path}" is read-only. Choose another file.`);
  return { real, name, mode: stats.mode & 0o777 };
}

/** Makes what is missing, and notes each folder that it made, the highest first. */
async function makeFolders(folder: string, made: string[], parents = true): Promise<void> {
  try {
    await mkdir(folder);
    made.push(folder);
  } catch (error) {
    if (codeOf(error) === "EEXIST") return;
    if (codeOf(error) !== "ENOENT" || !parents) throw error;
    await makeFolders(dirname(folder), made);
    await makeFolders(folder, made, false);
  }
}

async function writeNew(file: string, content: string, mode: number | undefined): Promise<void> {
  // Nobody may read in the new file what he may not read in the old one, not for a moment.
  const handle: FileHandle = await open(file, "wx", mode === undefined ? 0o666 : 0o600);
  try {
    await handle.writeFile(content);
    if (mode !== undefined) await handle.chmod(mode);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A link fails where the name exists by now; a move would replace what somebody else put there. */
async function moveToNew(from: string, to: string, path: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (codeOf(error) === "EEXIST") throw alreadyThere(path);
    // Some file systems have no links.
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes(codeOf(error))) throw error;
    if (await access(to).then(yes, no)) throw alreadyThere(path);
    await rename(from, to);
  }
}

function alreadyThere(path: string): Error {
  return new Error(`"${path}" exists already. Read it, then use overwrite: true to replace it.`);
}

/** The sentence for an error of the file system; any other error as it is. */
function writeProblem(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || !("code" in error)) return error;
  switch (error.code) {
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return new Error(`"${path}" may not be written: permission denied. Choose another place.`, { cause: error });
    case "ENAMETOOLONG":
      return fileProblem(error, path);
    case "ENOSPC":
    case "EDQUOT":
      return new Error(`"${path}" was not written: the disk is full.`, { cause: error });
    default:
      return new Error(`"${path}" was not written (${codeOf(error)}).`, { cause: error });
  }
}

const yes = () => true;
const no = () => false;
const nothing = () => undefined;
