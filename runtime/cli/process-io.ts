import { askLine } from "./ask-line.ts";
import { begunWith } from "./begun-with.ts";
import { confirm } from "./confirm.ts";
import type { Io } from "./io.ts";
import { openExistingLog, openLog } from "./open-log.ts";
import type { Settings } from "./settings.ts";
import { prepare } from "./setup.ts";
import { onSignal } from "./signals.ts";
import { openTerminal } from "./terminal.ts";
import { createTheme, wantsColour } from "./theme.ts";
import type { Writer } from "./writer.ts";

export interface ProcessIo {
  readonly settings: Settings;
  readonly out: Writer;
  readonly err: Writer;
  /** Stdout can be drawn on. */
  readonly screen: boolean;
  readonly onUnread: (stop: () => void) => void;
}

/** The world as this process has it. */
export function processIo({ settings, out, err, screen, onUnread }: ProcessIo): Io {
  return {
    out,
    err,
    // A terminal may be made larger or smaller meanwhile.
    get columns() {
      return screen ? process.stdout.columns : undefined;
    },
    get rows() {
      return screen ? process.stdout.rows : 24;
    },
    errColumns: process.stderr.isTTY && process.env["TERM"] !== "dumb" ? process.stderr.columns : undefined,
    keyboard: process.stdin.isTTY,
    theme: createTheme(screen && wantsColour(process.env)),
    env: process.env,
    program: `${programName()}${settings.again.log}`,
    goOn: goOnAs(settings),
    now: Date.now,
    sleep,
    openLog: () => openExistingLog(settings.log),
    makeLog: () => openLog(settings.log),
    place: settings.log.kind === "folder" ? settings.log.folder : "none",
    async openAgent(log, runId) {
      const setup = await prepare(settings, log, await begunWith(log, runId));
      if (typeof setup === "string") return setup;
      if (setup.warning !== undefined) await err.write(`${setup.warning}\n`);
      return setup.agent;
    },
    setUp: (log) => prepare(settings, log),
    onSignal,
    onUnread,
    confirm,
    askLine: process.stdin.isTTY && process.stderr.isTTY ? askLine : undefined,
    openTerminal,
  };
}

/** What to type to go on with a run. */
export function goOnAs({ again }: Settings): string {
  return `${programName()}${again.log}${again.agent}`;
}

/** What to type to call this program again. */
function programName(): string {
  return process.env["npm_lifecycle_event"] === "start" ? "npm start --" : "rubato";
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}
