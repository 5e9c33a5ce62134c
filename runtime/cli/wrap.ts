import { visibleWidth } from "@earendil-works/pi-tui";

const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** How many columns a text takes. */
export function columnsOf(text: string): number {
  return visibleWidth(text);
}

/**
 * Breaks one line (without `\n` and `\t`) into rows of at most `width` columns: at spaces, between wide characters, and within a word only where
 * it is longer than a row. Text that is added to the end changes no row but the last, so that all others may be printed for good.
 */
export function wrapLine(line: string, width: number): string[] {
  const starts = rowStarts(line, width);
  return starts.map((start, index) => line.slice(start, starts[index + 1]).trimEnd());
}

/** Where the rows of {@link wrapLine} begin, in UTF-16 units. */
export function rowStarts(line: string, width: number): number[] {
  const columns = Math.max(2, width);
  const starts = [0];
  let start = 0;
  let used = 0;
  /** Where the row may break, and the columns up to there. */
  let breakAt = 0;
  let usedAtBreak = 0;
  let afterWide = false;

  for (const { segment, index } of graphemes.segment(line)) {
    const space = segment === " ";
    const size = segment.length === 1 && segment < "\u007f" ? 1 : visibleWidth(segment);
    const wide = size > 1;
    if (!space && (wide || afterWide || (index > start && line.charAt(index - 1) === " "))) {
      breakAt = index;
      usedAtBreak = used;
    }
    // A space at the end of a row hangs over: it is not shown there and begins no new row.
    if (used + size > columns && !space) {
      const at = breakAt > start ? breakAt : index;
      starts.push(at);
      used = at === index ? 0 : used - usedAtBreak;
      start = at;
      breakAt = at;
      usedAtBreak = 0;
    }
    used += size;
    afterWide = wide;
  }
  return starts;
}

/** A text cut to `width` columns, with `…` where something is missing. */
export function fit(text: string, width: number): string {
  if (visibleWidth(text) <= width) return text;
  let used = 0;
  for (const { segment, index } of graphemes.segment(text)) {
    used += visibleWidth(segment);
    if (used > width - 1) return width < 1 ? "" : `${text.slice(0, index)}…`;
  }
  return text;
}
