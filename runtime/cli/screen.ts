import { columnsOf } from "./wrap.ts";

/** What stands below the transcript and changes: status and prompt. */
export interface LiveArea {
  readonly rows: readonly string[];
  /** Where the terminal's cursor stands in it. */
  readonly cursor: { readonly row: number; readonly column: number };
}

/**
 * Draws on a terminal without taking it over: rows of the transcript are printed once and scroll away as any program's output does; only the
 * live area at the bottom is drawn again, and of it only what changed.
 *
 * Between two calls the cursor stands where the live area says. Rows must be fit for the terminal and narrower than it.
 */
export interface Screen {
  /** Prints rows above the live area, and the area as it is now. */
  paint(finished: readonly string[], live: LiveArea): void;
  /** Draws the whole visible screen again: after its width changed nobody knows where what was drawn stands now. */
  redraw(rows: readonly string[], live: LiveArea, height: number): void;
  /** Takes the live area away and leaves the cursor below the transcript. */
  clear(): void;
}

/** Drawn as a whole (synchronized output), without a flying cursor; a row that is wider than we think is cut instead of wrapped. */
const BEGIN = "\u001b[?2026h\u001b[?25l\u001b[?7l";
const END = "\u001b[?7h\u001b[?25h\u001b[?2026l";
const ERASE_LINE = "\u001b[2K";
const ERASE_BELOW = "\u001b[J";

export function createScreen(write: (text: string) => void): Screen {
  let shown: readonly string[] = [];
  let at = { row: 0, column: 0 };

  function place(live: LiveArea, fromRow: number): string {
    shown = live.rows;
    at = live.cursor;
    return `${vertical(at.row - fromRow)}\r${at.column > 0 ? `\u001b[${at.column}C` : ""}`;
  }

  return {
    paint(finished, live) {
      let first = 0;
      if (finished.length === 0) {
        while (first < live.rows.length && live.rows[first] === shown[first]) first++;
        const same = first === live.rows.length && first === shown.length;
        if (same) {
          if (at.row !== live.cursor.row || at.column !== live.cursor.column) write(place(live, at.row));
          return;
        }
        // The last common row is drawn again, so that there is one to stand on.
        first = Math.max(0, Math.min(first, shown.length - 1, live.rows.length - 1));
      }
      const rows = [...finished, ...live.rows.slice(first)];
      const drawn = rows.map((row) => `${ERASE_LINE}${row}`).join("\r\n");
      const bottom = live.rows.length - 1;
      const rest = shown.length > live.rows.length || finished.length > 0 ? eraseBelow(rows.at(-1) ?? "") : "";
      write(`${BEGIN}${vertical(first - at.row)}\r${drawn}${rest}${place(live, bottom)}${END}`);
    },
    redraw(rows, live, height) {
      const all = [...rows, ...live.rows].slice(-height);
      // Each row is erased by itself: terminals save a screen that is erased as a whole in the scrollback, with all that stands there.
      const drawn = Array.from({ length: height }, (_none, index) => `${ERASE_LINE}${all[index] ?? ""}`).join("\r\n");
      write(`${BEGIN}\u001b[H${drawn}${place(live, live.rows.length - 1 + height - all.length)}${END}`);
    },
    clear() {
      write(`${vertical(-at.row)}\r${ERASE_BELOW}`);
      shown = [];
      at = { row: 0, column: 0 };
    },
  };
}

/** Erases what stands below the row that was just drawn, and not its last column. */
function eraseBelow(row: string): string {
  return `\r${columnsOf(row) > 0 ? `\u001b[${columnsOf(row)}C` : ""}${ERASE_BELOW}`;
}

function vertical(rows: number): string {
  if (rows === 0) return "";
  return rows > 0 ? `\u001b[${rows}B` : `\u001b[${-rows}A`;
}
