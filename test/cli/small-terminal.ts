/** As much of a terminal as the screen needs: a grid, a cursor, and what scrolled away. Throws at a sequence that it does not know. */
export interface SmallTerminal {
  readonly write: (text: string) => void;
  /** Rows from the first that was printed to the last of the screen, without blanks at their ends. */
  readonly all: string[];
  readonly cursor: { readonly row: number; readonly column: number };
}

const ESC = "\u001b";
/** A sequence, a line end, or text. */
const PIECES = new RegExp(String.raw`${ESC}\[([?\d;]*)([A-Za-z])|\r|\n|[^${ESC}\r\n]+`, "g");

export function smallTerminal(rows: number): SmallTerminal {
  const scrolled: string[] = [];
  let grid = Array.from({ length: rows }, () => "");
  let row = 0;
  let column = 0;

  function put(text: string): void {
    const line = (grid[row] ?? "").padEnd(column);
    grid[row] = line.slice(0, column) + text + line.slice(column + text.length);
    column += text.length;
  }

  function newline(): void {
    if (row < rows - 1) row++;
    else {
      scrolled.push(grid.shift() ?? "");
      grid.push("");
    }
  }

  function sequence(parameters: string, final: string): void {
    const count = Number(parameters || "1");
    if (parameters.startsWith("?")) return;
    if (final === "A") row = Math.max(0, row - count);
    else if (final === "B") row = Math.min(rows - 1, row + count);
    else if (final === "C") column += count;
    else if (final === "H" && parameters === "") [row, column] = [0, 0];
    else if (final === "K" && parameters === "2") grid[row] = "";
    else if (final === "J" && parameters === "") {
      grid[row] = (grid[row] ?? "").slice(0, column);
      grid = grid.map((line, index) => (index > row ? "" : line));
    } else throw new Error(`unknown sequence ${parameters}${final}`);
  }

  return {
    write(text) {
      for (const match of text.matchAll(PIECES)) {
        const [piece, parameters, final] = match;
        if (final !== undefined) sequence(parameters ?? "", final);
        else if (piece === "\r") column = 0;
        else if (piece === "\n") newline();
        else put(piece);
      }
    },
    get all() {
      return [...scrolled, ...grid].map((line) => line.trimEnd());
    },
    get cursor() {
      return { row: scrolled.length + row, column };
    },
  };
}
