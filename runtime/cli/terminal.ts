import { StdinBuffer } from "@earendil-works/pi-tui";

/** What a person does at the terminal. */
export interface TerminalEvents {
  /** One key, as the bytes that the terminal sends for it. */
  readonly onKey: (bytes: string) => void;
  /** Text that was pasted, as it came. */
  readonly onPaste: (text: string) => void;
  readonly onResize: () => void;
  /** There will be no more keys: the terminal is gone. */
  readonly onEnd: () => void;
}

/** The terminal in raw mode, with bracketed paste. */
export interface Terminal {
  readonly columns: number;
  readonly rows: number;
  write(text: string): void;
  /** Gives the terminal back as it was. Safe to call twice, and from an exit handler. */
  stop(): void;
}

/** How long a lone ESC waits for the rest of a key's sequence, ms. Long enough for a slow line, too short to notice. */
const ESCAPE_MS = 25;
const PASTE_ON = "\u001b[?2004h";
const PASTE_OFF = "\u001b[?2004l";
/** Wrapping on, cursor visible: a draw that was cut short must not leave them off. */
const SANE = "\u001b[?2026l\u001b[?7h\u001b[?25h\u001b[0m";

/** Takes the process's terminal until `stop()`. */
export function openTerminal(events: TerminalEvents): Terminal {
  const { stdin, stdout } = process;
  const wasRaw = stdin.isRaw;
  const keys = new StdinBuffer({ timeout: ESCAPE_MS });
  let open = true;

  const onData = (data: string): void => {
    keys.process(data);
  };
  keys.on("data", events.onKey);
  keys.on("paste", events.onPaste);
  stdin.setRawMode(true);
  stdin.setEncoding("utf8");
  stdin.on("data", onData);
  stdin.on("end", events.onEnd);
  stdin.on("error", events.onEnd);
  stdout.on("resize", events.onResize);
  stdin.resume();
  stdout.write(PASTE_ON);

  const stop = (): void => {
    if (!open) return;
    open = false;
    process.off("exit", stop);
    keys.destroy();
    stdin.off("data", onData);
    stdin.off("end", events.onEnd);
    stdout.off("resize", events.onResize);
    // Before raw mode ends: keys that come now belong to the shell.
    stdin.pause();
    stdout.write(`${PASTE_OFF}${SANE}`);
    stdin.setRawMode(wasRaw);
  };
  // Whatever ends the process, the shell gets its terminal back.
  process.on("exit", stop);

  return {
    get columns() {
      return Math.max(1, stdout.columns);
    },
    get rows() {
      return Math.max(1, stdout.rows);
    },
    write(text) {
      if (open) stdout.write(text);
    },
    stop,
  };
}
