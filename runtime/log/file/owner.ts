import { readFileSync } from "node:fs";
import { hostname } from "node:os";

/**
 * A process, such that no later one is taken for it: pids are used again, so the time at which it started counts too. Whether it lives decides
 * only who may try to claim; what keeps two owners apart is the epoch.
 */
export interface Owner {
  readonly pid: number;
  /** Clock ticks from boot to its start; empty where the system does not say. */
  readonly started: string;
  readonly host: string;
  /** Changes with every boot; empty where the system does not say. */
  readonly boot: string;
}

export function thisProcess(): Owner {
  started ??= startOf(process.pid) ?? "";
  return { pid: process.pid, started, host: hostname(), boot: bootId() };
}

/** Of this process: it is written into every run that it makes. */
let started: string | undefined;

/** Whether it lives, as far as this process can tell. One on another host counts as alive: taking over from it is a decision. */
export function isAlive({ pid, started, host, boot }: Owner): boolean {
  if (host !== hostname()) return true;
  if (boot !== bootId()) return false;
  if (started !== "") return startOf(pid) === started;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It exists and belongs to somebody else.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** What this process let go of and could not write down, for the disk had failed: other processes learn it when this one ends. */
const abandoned = new Set<string>();

export function abandon(folder: string, epoch: number): void {
  abandoned.add(`${folder}/${epoch}`);
}

/** Whether the owner of an epoch that was not released still has it. */
export function holdsRun(owner: Owner, folder: string, epoch: number): boolean {
  return isAlive(owner) && !abandoned.has(`${folder}/${epoch}`);
}

export function isOwner(value: unknown): value is Owner {
  return (
    typeof value === "object" &&
    value !== null &&
    "pid" in value &&
    typeof value.pid === "number" &&
    "started" in value &&
    typeof value.started === "string" &&
    "host" in value &&
    typeof value.host === "string" &&
    "boot" in value &&
    typeof value.boot === "string"
  );
}

/** Field 22 of /proc/<pid>/stat. The name before it stands in parentheses and may hold anything, so fields count from the last one of those. */
function startOf(pid: number): string | undefined {
  const stat = textOf(`/proc/${pid}/stat`);
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  // A zombie has ended: it only waits for its parent to notice.
  return fields?.[0] === "Z" || fields?.[0] === "X" ? undefined : fields?.[19];
}

let boot: string | undefined;

function bootId(): string {
  boot ??= textOf("/proc/sys/kernel/random/boot_id")?.trim() ?? "";
  return boot;
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
