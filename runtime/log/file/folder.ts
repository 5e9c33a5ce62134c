import { accessSync, chmodSync, constants, mkdirSync, statfsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { messageOf, RubatoError } from "../../errors.ts";
import { isRunId } from "../event-log.ts";

/** Nobody but the user reads what was said to an agent. */
export const FOLDER_MODE = 0o700;
export const FILE_MODE = 0o600;

/** Names that Windows keeps for devices, and dots that it drops from the end of a name. */
const AWKWARD = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)|\.$/;

/**
 * The folder of a run: its id in small letters, and behind `~` which of them are capitals, as bits of a hex number. So ids that differ only in
 * their capitals have folders of their own also where the file system does not tell letters apart. `~` is in no id.
 */
export function folderOf(runId: string): string {
  const small = runId.toLowerCase();
  let capitals = 0n;
  for (let at = 0; at < runId.length; at++) if (runId[at] !== small[at]) capitals |= 1n << BigInt(at);
  return capitals === 0n && !AWKWARD.test(small) ? small : `${small}~${capitals.toString(16)}`;
}

/** The run whose folder has this name; undefined for a name that no run has. */
export function runOf(name: string): string | undefined {
  const [small = "", bits = "0", ...rest] = name.split("~");
  if (rest.length > 0 || !/^[0-9a-f]+$/.test(bits)) return undefined;
  const capitals = BigInt(`0x${bits}`);
  const runId = Array.from(small)
    .map((letter, at) => ((capitals >> BigInt(at)) & 1n ? letter.toUpperCase() : letter))
    .join("");
  return isRunId(runId) && folderOf(runId) === name ? runId : undefined;
}

/** Magic numbers of statfs(2). Their locks, renames and caches keep none of the promises that a log stands on. */
const NETWORK: ReadonlyMap<number, string> = new Map([
  [0x6969, "NFS"],
  [0x517b, "SMB"],
  [0xfe534d42, "SMB"],
  [0xff534d42, "CIFS"],
  [0x5346414f, "AFS"],
  [0x73757245, "Coda"],
  [0x564c, "NCP"],
  [0x00c36400, "Ceph"],
  [0x0bd00bd0, "Lustre"],
]);

/** The name of a network file system by its number; undefined for a local one. */
export function networkName(type: number): string | undefined {
  return NETWORK.get(type >>> 0);
}

/** Makes the folder if it is not there, and refuses one that cannot hold a log, in one sentence. */
export function openFolder(folder: string): void {
  try {
    makeFolder(folder);
    const network = networkName(statfsSync(folder).type);
    if (network !== undefined) {
      throw new RubatoError(
        "log",
        `The log folder "${folder}" is on a network file system (${network}), which keeps no promise of a log. Choose a folder on a local disk.`,
      );
    }
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
    makeFolder(join(folder, INBOX));
  } catch (error) {
    throw storageError(folder, error);
  }
}

/**
 * Makes a folder and those above it that are missing, for this user alone. By hand: where the system says that a parent is missing although it is
 * there (/proc does), Node's own recursive form never returns.
 */
function makeFolder(folder: string): void {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true) return;
  const parent = dirname(folder);
  if (parent !== folder) makeFolder(parent);
  try {
    mkdirSync(folder, { mode: FOLDER_MODE });
    chmodSync(folder, FOLDER_MODE);
  } catch (error) {
    // Somebody else made it meanwhile.
    if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) throw error;
  }
}

/** Commands to all runs of a folder. A name that no run has. */
export const INBOX = ".inbox";

/** What the system said about a file, as a sentence that names the folder and says what to do. */
export function storageError(folder: string, error: unknown): RubatoError {
  if (error instanceof RubatoError) return error;
  return new RubatoError("log", sentence(folder, codeOf(error), error), { cause: error });
}

function sentence(folder: string, code: string | undefined, error: unknown): string {
  switch (code) {
    case "ENOSPC":
    case "EDQUOT":
      return `The disk is full: the log in "${folder}" could not be written. Free some space, then resume the run.`;
    case "EIO":
      return `The disk of the log in "${folder}" reports an error. Check the disk, then resume the run.`;
    case "EROFS":
      return `The log folder "${folder}" is read-only. Choose a folder that can be written.`;
    case "EACCES":
    case "EPERM":
      return `The log folder "${folder}" may not be written by this user. Choose another folder, or change its owner.`;
    case "ENOTDIR":
    case "EEXIST":
      return `The log folder "${folder}" is a file or lies below one. Choose the path of a folder.`;
    case "EMFILE":
    case "ENFILE":
      return `Too many files are open: the log in "${folder}" could not be opened. Raise the limit (ulimit -n).`;
    default:
      return `The log in "${folder}" could not be used: ${messageOf(error)}.`;
  }
}

export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
