/** Lines that stand in both texts, only in the first, or only in the second. */
export interface LineChange {
  readonly kind: "same" | "removed" | "added";
  readonly line: string;
}

/** Pairs of lines that are compared at most: beyond it the middle is shown as removed and added as a whole. */
const MAX_PAIRS = 1_000_000;

/** What turns one text into the other, line by line. An empty text has no lines. */
export function lineDiff(before: string, after: string): LineChange[] {
  const a = linesOf(before);
  const b = linesOf(after);
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const change = (kind: LineChange["kind"], lines: readonly string[]): LineChange[] =>
    lines.map((line) => ({ kind, line }));
  return [
    ...change("same", a.slice(0, start)),
    ...middle(a.slice(start, a.length - end), b.slice(start, b.length - end)),
    ...change("same", a.slice(a.length - end)),
  ];
}

function linesOf(text: string): string[] {
  return text === "" ? [] : text.split("\n");
}

/** The longest common subsequence, by the table that every textbook has. */
function middle(a: readonly string[], b: readonly string[]): LineChange[] {
  const width = b.length + 1;
  const table = a.length * b.length > MAX_PAIRS ? undefined : new Uint32Array((a.length + 1) * width);
  const common = (i: number, j: number): number => table?.[i * width + j] ?? 0;
  if (table !== undefined) {
    for (let i = a.length - 1; i >= 0; i--) {
      for (let j = b.length - 1; j >= 0; j--) {
        table[i * width + j] = a[i] === b[j] ? common(i + 1, j + 1) + 1 : Math.max(common(i + 1, j), common(i, j + 1));
      }
    }
  }
  const changes: LineChange[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    const removed = a[i];
    const added = b[j];
    if (table !== undefined && removed !== undefined && removed === added) {
      changes.push({ kind: "same", line: removed });
      i++;
      j++;
    } else if (removed !== undefined && (added === undefined || common(i + 1, j) >= common(i, j + 1))) {
      changes.push({ kind: "removed", line: removed });
      i++;
    } else if (added !== undefined) {
      changes.push({ kind: "added", line: added });
      j++;
    }
  }
  return changes;
}
