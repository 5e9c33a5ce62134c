import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { MAIN, NODE_OPTIONS } from "./child.ts";

const exec = promisify(execFile);
const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** How often, ms, and how many times the screen is looked at before it is given up. Looks, not a clock: a machine that stood still has not waited. */
const LOOK_MS = 30;
const MAX_LOOKS = 4_000;

/** A real terminal, by tmux, in which the command runs as `npm start` runs it. */
export interface Pane {
  /** Sends keys by tmux's names (`Enter`, `Escape`, `C-c`, `M-Enter`), other words as they are. */
  keys(...keys: string[]): Promise<void>;
  paste(text: string): Promise<void>;
  resize(columns: number, rows: number): Promise<void>;
  /** What stands on the screen. */
  screen(): Promise<string>;
  /** All that was printed, with what scrolled away. */
  history(): Promise<string>;
  /** Resolves with the screen once it matches. */
  until(pattern: RegExp): Promise<string>;
  /** Ends the command as `kill -9` does. */
  kill(): Promise<void>;
  /** A variable of tmux, such as `cursor_flag`. */
  read(variable: string): Promise<string>;
  close(): Promise<void>;
}

/** What the pane runs: the terminal's settings before and after, and the exit code between; then `cat` keeps it open and echoes. */
function script(args: readonly string[]): string {
  const words = [process.execPath, ...NODE_OPTIONS, MAIN, ...args].map((word) => `'${word}'`).join(" ");
  return `stty -g; ${words}; echo "code $?"; stty -g; cat`;
}

export async function openPane(args: readonly string[] = [], columns = 80, rows = 24, log = "none"): Promise<Pane> {
  const socket = `rubato-${randomUUID()}`;
  const { OPENAI_API_KEY: _key, OPENAI_BASE_URL: _url, RUBATO_MODEL: _model, TMUX: _tmux, ...env } = process.env;
  const tmux = async (...words: string[]): Promise<string> => {
    const { stdout } = await exec("tmux", ["-u", "-L", socket, "-f", "/dev/null", ...words], {
      cwd: ROOT,
      env: { ...env, LC_ALL: "C.UTF-8", RUBATO_LOG: log },
    });
    return stdout;
  };
  await tmux("new-session", "-d", "-x", String(columns), "-y", String(rows), "sh", "-c", script(args));

  const screen = (): Promise<string> => tmux("capture-pane", "-p");
  /** What runs in the pane, by the columns of `ps`. */
  const processes = async (columns: string): Promise<string> => {
    const tty = (await tmux("display-message", "-p", "#{pane_tty}")).trim().replace("/dev/", "");
    return (await exec("ps", ["-t", tty, "-o", columns])).stdout;
  };
  return {
    async keys(...keys) {
      await tmux("send-keys", ...keys);
    },
    async paste(text) {
      await tmux("set-buffer", text);
      await tmux("paste-buffer", "-p");
    },
    async resize(width, height) {
      await tmux("resize-window", "-x", String(width), "-y", String(height));
    },
    screen,
    history: () => tmux("capture-pane", "-p", "-J", "-S", "-"),
    async until(pattern) {
      for (let look = 0; ; look++) {
        const shown = await screen();
        if (pattern.test(shown)) return shown;
        if (look >= MAX_LOOKS) {
          const running = await processes("pid,stat,etime,time,wchan:30,args");
          throw new Error(`The screen never showed ${pattern}:\n${shown.trim()}\n${running}`);
        }
        await new Promise((resolve) => {
          setTimeout(resolve, LOOK_MS);
        });
      }
    },
    async kill() {
      const stdout = await processes("pid=,args=");
      // The shell names the program too, in its script: the command is the one that begins with node.
      const line = stdout.split("\n").find((row) => row.trim().split(/\s+/)[1] === process.execPath);
      process.kill(Number(line?.trim().split(/\s+/)[0]), "SIGKILL");
    },
    async read(variable) {
      return (await tmux("display-message", "-p", `#{${variable}}`)).trim();
    },
    async close() {
      await tmux("kill-server");
    },
  };
}
