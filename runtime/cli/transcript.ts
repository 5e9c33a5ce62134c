import type { Theme } from "./theme.ts";
import { rowStarts, wrapLine } from "./wrap.ts";

/** Who speaks in a line. */
export type LineKind =
  | "user"
  | "answer"
  | "reasoning"
  | "tool"
  | "result"
  | "note"
  | "error"
  | "info"
  | "chart"
  /** Something that a person has to answer, and what belongs to it. */
  | "ask"
  | "detail"
  | "removed"
  | "added"
  /** About the conversation, not of it. */
  | "aside";

interface Line {
  readonly kind: LineKind | "gap";
  readonly text: string;
  /** The first line of what was said at once. */
  readonly first: boolean;
}

/**
 * What was said, as lines that were sanitized before. A line is printed for good as soon as nothing can change it any more, so the
 * terminal's own scrollback holds the conversation; the last lines are kept for a redraw after a resize.
 */
export interface Transcript {
  /** Adds whole lines. */
  add(kind: LineKind, text: string): void;
  /** Adds to the line that is open, or opens one. */
  stream(kind: LineKind, text: string): void;
  /** Nothing is added to the open line any more. */
  close(): void;
  /** The rows that became final since the last call, and those that may still change. */
  take(width: number): { readonly finished: string[]; readonly open: string[] };
  /** Up to `rows` of the last rows, all of which then count as taken. */
  retake(width: number, rows: number): { readonly finished: string[]; readonly open: string[] };
}

/** Lines that are kept for a redraw. */
const KEPT = 1_000;
/** A longer open line is closed at a row's end: wrapping it again and again would cost more with each word. */
const MAX_OPEN = 4_000;

const MARKS: Readonly<Record<LineKind, readonly [first: string, rest: string]>> = {
  user: ["› ", "  "],
  answer: ["", ""],
  reasoning: ["", ""],
  tool: ["· ", "  "],
  result: ["  → ", "    "],
  note: ["", ""],
  error: ["", ""],
  info: ["", ""],
  chart: ["  ◇ ", "    "],
  ask: ["? ", "  "],
  detail: ["  ", "  "],
  removed: ["- ", "- "],
  added: ["+ ", "+ "],
  aside: ["", ""],
};

/** Belongs to what stands above it. */
const JOINED: ReadonlySet<LineKind> = new Set(["result", "chart", "detail", "removed", "added"]);

export function createTranscript(theme: Theme): Transcript {
  const lines: Line[] = [];
  /** Lines of `lines` that are printed as a whole. */
  let taken = 0;
  let open: Line | undefined;
  /** Rows of the open line, or of the line that it became, that are printed. */
  let openRows = 0;
  let last: LineKind | undefined;

  const paints: Readonly<Record<LineKind, (text: string) => string>> = {
    user: theme.bold,
    answer: (text) => text,
    reasoning: theme.dim,
    tool: theme.dim,
    result: theme.dim,
    note: theme.warn,
    error: theme.error,
    info: (text) => text,
    chart: theme.accent,
    ask: (text) => theme.bold(theme.warn(text)),
    detail: (text) => text,
    removed: theme.error,
    added: theme.add,
    aside: theme.dim,
  };

  function rowsOf(line: Line, width: number): string[] {
    if (line.kind === "gap") return [""];
    const [first, rest] = MARKS[line.kind];
    const paint = paints[line.kind];
    return wrapLine(line.text, textWidth(line, width)).map(
      (row, index) => (index === 0 && line.first ? first : rest) + paint(row),
    );
  }

  function separate(kind: LineKind): void {
    const together = last === undefined || last === kind || JOINED.has(kind) || (last === "result" && kind === "tool");
    last = kind;
    if (!together || kind === "user" || (kind === "info" && lines.length > 0))
      push({ kind: "gap", text: "", first: false });
  }

  function push(line: Line): void {
    lines.push(line);
    if (lines.length <= 2 * KEPT) return;
    const dropped = Math.min(lines.length - KEPT, taken);
    lines.splice(0, dropped);
    taken -= dropped;
  }

  function close(): void {
    // A newline at the end of a text opens no line.
    if (open !== undefined && open.text !== "") push(open);
    open = undefined;
  }

  return {
    add(kind, text) {
      close();
      separate(kind);
      for (const [index, line] of spread(text).split("\n").entries()) push({ kind, text: line, first: index === 0 });
    },
    stream(kind, text) {
      if (text === "") return;
      if (open === undefined || open.kind !== kind) {
        close();
        separate(kind);
        open = { kind, text: "", first: true };
      }
      // Models begin with blank lines, and what goes on after a stop with the space between two words.
      const shown = open.first && open.text === "" ? text.trimStart() : text;
      const [head = "", ...more] = spread(shown).split("\n");
      open = { ...open, text: open.text + head };
      for (const line of more) {
        push(open);
        open = { kind, text: line, first: false };
      }
    },
    close,
    take(width) {
      const finished: string[] = [];
      for (; taken < lines.length; taken++) {
        const line = lines[taken];
        if (line !== undefined) finished.push(...rowsOf(line, width).slice(openRows));
        openRows = 0;
      }
      if (open === undefined || open.text === "") return { finished, open: [] };
      const rows = rowsOf(open, width);
      finished.push(...rows.slice(openRows, -1));
      openRows = rows.length - 1;
      if (open.text.length > MAX_OPEN && openRows > 0) {
        const start = rowStarts(open.text, textWidth(open, width)).at(-1) ?? 0;
        push({ ...open, text: open.text.slice(0, start) });
        taken = lines.length;
        open = { ...open, text: open.text.slice(start), first: false };
        openRows = 0;
      }
      return { finished, open: rows.slice(-1) };
    },
    retake(width, rows) {
      const shown = open === undefined || open.text === "" ? [] : rowsOf(open, width);
      const finished = shown.slice(0, -1);
      for (let index = lines.length - 1; index >= 0 && finished.length < rows; index--) {
        const line = lines[index];
        if (line !== undefined) finished.unshift(...rowsOf(line, width));
      }
      taken = lines.length;
      openRows = Math.max(0, shown.length - 1);
      return { finished: finished.slice(Math.max(0, finished.length - rows)), open: shown.slice(-1) };
    },
  };
}

/** The columns that a line's text has. One stays free: a terminal that counts a character wider than we do must not break the row. */
function textWidth({ kind }: Line, width: number): number {
  return width - 1 - (kind === "gap" ? 0 : MARKS[kind][1].length);
}

/** Tabs as spaces: a tab has no width of its own. */
function spread(text: string): string {
  return text.replaceAll("\t", "    ");
}
