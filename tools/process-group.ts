import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * A program in a process group of its own.
 *
 * 1. The program gets its arguments as they are: no shell reads them. It has no standard input and no terminal.
 * 2. Nothing of the group outlives `ended`, however the program ends: what it left behind in the group is stopped too.
 * 3. A stop is SIGTERM to the whole group, then SIGKILL to what is left after a second.
 * 4. When this process exits while groups live, they are killed. Nothing can do that when it is itself killed.
 *
 * Not covered: a process that leaves the group on purpose (setsid, a daemon); it is not waited for either. Windows has no groups: there only the
 * program itself is stopped.
 */
export interface ProcessGroup {
  /** How the program ended, once nothing of its group is left. Rejects where it could not be started. */
  readonly ended: Promise<ProgramEnd>;
  /** Stops the group. More than once is the same as once. */
  stop(): void;
}

export interface ProgramEnd {
  /** null where a signal ended it. */
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  /** Absolute. */
  readonly cwd: string;
  /** All of it: nothing is inherited. */
  readonly env: NodeJS.ProcessEnv;
  readonly output: (stream: "stdout" | "stderr", chunk: Buffer) => void;
}

/** How long a group has to end by itself. Less than the grace of the runtime (5 s), after which it gives a tool up. */
const termMs = 1000;
/** How long the kernel has to end what was killed. */
const killMs = 500;
/** How long the program's children may go on writing when it has ended itself. */
const drainMs = 500;

const groups = process.platform !== "win32";

export function startGroup({ command, args, cwd, env, output }: Program): ProcessGroup {
  const child = spawn(command, args, {
    cwd,
    env,
    shell: false,
    detached: groups,
    windowsHide: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.stdout.on("data", (chunk: Buffer) => {
    output("stdout", chunk);
  });
  child.stderr.on("data", (chunk: Buffer) => {
    output("stderr", chunk);
  });
  let stopping: Promise<void> | undefined;
  const end = async (): Promise<ProgramEnd> => {
    const ending = new AbortController();
    // The pipes close when the last process that holds them ends.
    const closed = once(child, "close", ending).then(nothing, nothing);
    const drained = () => Promise.race([closed, sleep(drainMs, undefined, ending).catch(nothing)]);
    // Rejects with the `error` event of a program that could not be started.
    await once(child, "exit");
    if (stopping === undefined) await drained();
    await (stopping ??= endGroup(child));
    await drained();
    ending.abort();
    child.stdout.destroy();
    child.stderr.destroy();
    return { exitCode: child.exitCode, signal: child.signalCode };
  };
  live(child);
  return {
    ended: end().finally(() => {
      forget(child);
    }),
    stop() {
      stopping ??= endGroup(child);
    },
  };
}

async function endGroup(child: ChildProcess): Promise<void> {
  if (!signalGroup(child, "SIGTERM")) return;
  if (await gone(child, termMs)) return;
  signalGroup(child, "SIGKILL");
  await gone(child, killMs);
}

/** Whether the group is gone within a time. The system tells nobody when a group ends: it has to be asked. */
async function gone(child: ChildProcess, ms: number): Promise<boolean> {
  const from = performance.now();
  for (let pause = 10; performance.now() - from < ms; pause = Math.min(2 * pause, 160)) {
    await sleep(pause);
    if (!(await runs(child))) return true;
  }
  return false;
}

/**
 * Whether something of the group still runs. A zombie does not, although it can be signalled: where the first process of a container asks for
 * nobody's end they stay for ever, and each stop would take all of its time.
 */
async function runs(child: ChildProcess): Promise<boolean> {
  if (!signalGroup(child, 0)) return false;
  if (process.platform !== "linux") return true;
  try {
    for (const entry of await readdir("/proc")) {
      if (!/^\d+$/.test(entry)) continue;
      // "pid (name) state parent group ...", and a name may hold anything. One that ended meanwhile does not run.
      const stat = await readFile(`/proc/${entry}/stat`, "latin1").catch(() => "");
      const [state, , group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (group === String(child.pid) && state !== "Z" && state !== "X") return true;
    }
    return false;
  } catch {
    return true;
  }
}

/** Answers false where nobody is left who could be told. */
function signalGroup(child: ChildProcess, signal: NodeJS.Signals | 0): boolean {
  if (child.pid === undefined) return false;
  if (!groups) return child.kill(signal);
  try {
    return process.kill(-child.pid, signal);
  } catch {
    return false;
  }
}

function nothing(): void {}

/** The groups that live. One listener for all: many commands may run at once. */
const living = new Set<ChildProcess>();

function killLiving(): void {
  for (const child of living) signalGroup(child, "SIGKILL");
}

function live(child: ChildProcess): void {
  if (living.size === 0) process.on("exit", killLiving);
  living.add(child);
}

function forget(child: ChildProcess): void {
  living.delete(child);
  if (living.size === 0) process.off("exit", killLiving);
}
