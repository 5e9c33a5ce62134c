/**
 * Reads lines of JSON from pieces of text, as they come from a file or a connection. A line that is cut at the end is told apart from one that is
 * broken: the first is how a file ends whose writer was stopped.
 */
export class JsonLines {
  /** Of a line that has not ended: joined once, when it does. A log may be one line of many megabytes. */
  private open: string[] = [];
  private length = 0;
  private count = 0;

  /** In UTF-16 units, of the line that has not ended. */
  get openLength(): number {
    return this.length;
  }

  /** Of that line, from 1. */
  get openLine(): number {
    return this.count + 1;
  }

  /** The values of the lines that this piece completed. Stops at the first line that is no JSON, with its number. */
  push(piece: string): { readonly values: readonly unknown[]; readonly broken: number | undefined } {
    if (!piece.includes("\n")) {
      this.open.push(piece);
      this.length += piece.length;
      return { values: [], broken: undefined };
    }
    const lines = (this.open.join("") + piece).split("\n");
    const rest = lines.pop() ?? "";
    this.open = [rest];
    this.length = rest.length;
    const values: unknown[] = [];
    for (const line of lines) {
      this.count++;
      if (line.trim() === "") continue;
      const value = parse(line);
      if (value === undefined) return { values, broken: this.count };
      values.push(value.json);
    }
    return { values, broken: undefined };
  }

  /** What stands behind the last line break: a value, nothing, or a line that was cut. */
  end(): { readonly value: unknown } | "empty" | "cut" {
    const rest = this.open.join("");
    if (rest.trim() === "") return "empty";
    const value = parse(rest);
    return value === undefined ? "cut" : { value: value.json };
  }
}

function parse(line: string): { readonly json: unknown } | undefined {
  try {
    const json: unknown = JSON.parse(line);
    return { json };
  } catch {
    return undefined;
  }
}
