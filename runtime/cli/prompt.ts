import { CURSOR_MARKER, Editor, TUI, type Terminal as TuiTerminal } from "@earendil-works/pi-tui";
import { sanitize } from "./sanitizer.ts";
import type { Theme } from "./theme.ts";
import { columnsOf, fit } from "./wrap.ts";

/** The line (or lines) that a person edits: history, paste, wide characters, undo. The editing is pi-tui's. */
export interface Prompt {
  /** What stands in it, with pasted text in full. */
  readonly text: string;
  set(text: string): void;
  /** Takes one key. */
  key(bytes: string): void;
  paste(text: string): void;
  /** Puts a text into the history, for the up key. */
  remember(text: string): void;
  render(
    width: number,
    placeholder: string,
  ): { readonly rows: string[]; readonly row: number; readonly column: number };
}

const MARK = "› ";
const INDENT = "  ";

/** `onSubmit` gets the text when Enter ends it; the prompt is empty by then. `height` is the terminal's. */
export function createPrompt(height: () => number, onSubmit: (text: string) => void, theme: Theme): Prompt {
  const plain = (text: string): string => text;
  const editor = new Editor(new Host(inertTerminal(height)), {
    borderColor: plain,
    selectList: { selectedPrefix: plain, selectedText: plain, description: plain, scrollInfo: plain, noMatch: plain },
  });
  editor.focused = true;
  editor.onSubmit = onSubmit;

  return {
    get text() {
      return editor.getExpandedText();
    },
    set(text) {
      editor.setText(text);
    },
    key(bytes) {
      editor.handleInput(bytes);
    },
    paste(text) {
      // A paste may hold what its author wants the terminal to do.
      editor.handleInput(`\u001b[200~${sanitize(text)}\u001b[201~`);
    },
    remember(text) {
      editor.addToHistory(text);
    },
    render(width, placeholder) {
      if (editor.getText() === "") {
        const hint = fit(placeholder, width - MARK.length - 1);
        return { rows: [theme.accent(MARK) + theme.dim(hint)], row: 0, column: MARK.length };
      }
      // Without the rules above and below; the editor keeps one column for its cursor.
      const lines = editor.render(Math.max(4, width - MARK.length)).slice(1, -1);
      let row = 0;
      let column = 0;
      const rows = lines.map((line, index) => {
        const mark = index === 0 ? theme.accent(MARK) : INDENT;
        const at = line.indexOf(CURSOR_MARKER);
        if (at < 0) return mark + line.trimEnd();
        row = index;
        column = MARK.length + columnsOf(line.slice(0, at));
        return mark + (line.slice(0, at) + withoutFakeCursor(line.slice(at + CURSOR_MARKER.length))).trimEnd();
      });
      return { rows, row, column };
    },
  };
}

/** The editor draws a cursor of its own, in reverse video; ours is the terminal's. */
function withoutFakeCursor(text: string): string {
  return text.replace("\u001b[7m", "").replace("\u001b[0m", "");
}

/** The editor wants a TUI that it can ask to render. We render when we want to. */
class Host extends TUI {
  override requestRender(): void {}
}

function inertTerminal(height: () => number): TuiTerminal {
  const nothing = (): void => {};
  return {
    start: nothing,
    stop: nothing,
    drainInput: () => Promise.resolve(),
    write: nothing,
    columns: 80,
    get rows() {
      return height();
    },
    kittyProtocolActive: false,
    moveBy: nothing,
    hideCursor: nothing,
    showCursor: nothing,
    clearLine: nothing,
    clearFromCursor: nothing,
    clearScreen: nothing,
    setTitle: nothing,
    setProgress: nothing,
  };
}
