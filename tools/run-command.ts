import { z } from "zod";
import { keepEnds } from "./kept-output.ts";
import { reportOutput } from "./output-progress.ts";
import { startGroup, type ProcessGroup } from "./process-group.ts";
import { placeInside } from "./root.ts";
import { defineTool, type ApprovalPolicy } from "./tool.ts";

const kib = 1024;
/** Of each stream: bytes that are answered, and characters that are reported while the program runs. */
const maxOutput = 64 * kib;

/** A NUL ends a string for the system: what a person approved would not be what runs. */
const word = z.string().refine((text) => !text.includes("\0"), "A NUL byte cannot be passed to a program");

const input = z.object({
  command: word.min(1).max(4096).describe('The program: a name like "git", or a path'),
  args: z.array(word).max(1000).default([]).describe("Its arguments, each by itself. No shell reads them"),
  cwd: z.string().max(4096).default(".").describe("The folder to run in, relative to the root. Default: the root"),
});

export interface RunCommandOptions {
  /** The folder that `cwd` may not leave. */
  readonly root: string;
  /** Default `always`. */
  readonly approval?: ApprovalPolicy<z.output<typeof input>>;
  /** Variables for the program beside the harmless ones it is given anyway. What stands here the model may learn. */
  readonly env?: Readonly<Record<string, string>>;
  /** Milliseconds. Default: the agent's `toolTimeoutMs`. */
  readonly timeoutMs?: number;
}

/**
 * Tool `run_command`: runs a program with an argument list, without a shell, in a folder inside `root`, and reports what it writes as progress
 * `{ stream, text }`.
 *
 * Answers `{ exitCode, signal, stdout, stderr }`; an exit code is an answer, not an error. Of each stream at most 64 KiB, beginning and end. When
 * the call is aborted the program and what it started are stopped: SIGTERM, and SIGKILL after a second; what it leaves running when it ends is
 * stopped as well. See `process-group.ts` for what is not covered.
 *
 * No sandbox: a program can read and change what this user can. Approval is what stands before that; the root binds `cwd` only.
 */
export function runCommand(options: RunCommandOptions) {
  return defineTool({
    name: "run_command",
    description:
      "Runs a program in a folder, and answers its exit code and what it wrote. There is no shell: no pipes, no redirection, no *, no &&. " +
      "It has no input, and what it starts ends with it.",
    input,
    approval: options.approval ?? "always",
    // Models write a file and run it in one step: in the order of their calls, one after the other.
    exclusive: true,
    ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
    async execute({ command, args, cwd }, ctx) {
      const { signal } = ctx;
      const place = await placeInside(options.root, cwd);
      if (!place.stats.isDirectory()) throw new Error(`"${cwd}" is not a folder. Name the folder to run in.`);
      signal.throwIfAborted();
      const kept = { stdout: keepEnds(maxOutput), stderr: keepEnds(maxOutput) };
      let broken: Error | undefined;
      let group: ProcessGroup | undefined;
      const stop = () => group?.stop();
      const progress = reportOutput(ctx, {
        limit: maxOutput,
        failed(error) {
          broken = error;
          stop();
        },
      });
      try {
        group = startGroup({
          command,
          args,
          cwd: place.real,
          env: { ...harmless(process.env), ...options.env },
          output(stream, chunk) {
            kept[stream].add(chunk);
            progress.add(stream, chunk);
          },
        });
        signal.addEventListener("abort", stop, { once: true });
        const { exitCode, signal: endedBy } = await group.ended;
        progress.end();
        if (broken !== undefined) throw broken;
        if (signal.aborted) throw new Error("The program was stopped before its end.", { cause: signal.reason });
        return { exitCode, signal: endedBy, stdout: kept.stdout.text(), stderr: kept.stderr.text() };
      } catch (error) {
        throw startProblem(error, command);
      } finally {
        signal.removeEventListener("abort", stop);
      }
    },
  });
}

/**
 * What a program is told of this process's environment: the little that programs need to find their files and their language. A list of what is
 * harmless, not of what is secret: nobody can list the names of all credentials (`OPENAI_API_KEY`, `PGPASSWORD`, `DATABASE_URL`, the socket of an
 * ssh agent), and a variable such as `NODE_OPTIONS` changes what a program does.
 */
const harmlessNames: ReadonlySet<string> = new Set(
  [
    "PATH HOME USER LOGNAME SHELL TERM TMPDIR TZ LANG LANGUAGE",
    "LC_ALL LC_COLLATE LC_CTYPE LC_MESSAGES LC_MONETARY LC_NUMERIC LC_TIME",
    // Without these hardly a program starts on Windows.
    "SYSTEMROOT SYSTEMDRIVE WINDIR COMSPEC PATHEXT TEMP TMP USERNAME USERPROFILE",
    "APPDATA LOCALAPPDATA PROGRAMDATA PROGRAMFILES PROGRAMFILES(X86)",
  ].flatMap((names) => names.split(" ")),
);

function harmless(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const windows = process.platform === "win32";
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => harmlessNames.has(windows ? name.toUpperCase() : name)),
  );
}

/** The sentence for a program that could not be started; any other error as it is. */
function startProblem(error: unknown, command: string): unknown {
  if (!(error instanceof Error) || !("syscall" in error) || !String(error.syscall).startsWith("spawn")) return error;
  const code = "code" in error ? String(error.code) : "unknown error";
  return new Error(startSentence(code, JSON.stringify(command)), { cause: error });
}

function startSentence(code: string, command: string): string {
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return `There is no program ${command}. Name the program alone in command, and each argument in args: there is no shell.`;
    case "EACCES":
    case "EPERM":
      return `${command} may not be run: permission denied. Name a program that can be executed.`;
    case "E2BIG":
      return `The arguments of ${command} are too long for the system. Put them into a file, or use fewer.`;
    default:
      return `${command} could not be started (${code}).`;
  }
}
