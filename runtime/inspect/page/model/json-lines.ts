/**
 * Reads lines of JSON from pieces of text, as they come from a file or a connection. A line that is cut at the end is told apart from one that is
 * broken: the first is how a file ends whose writer was stopped.
 */
export class JsonLines {
  private rest = "";
  private count = 0;

  /** The values of the lines that this piece completed. Stops at the first line that is no JSON, with its number. */
  push(piece: string): { readonly values: readonly unknown[]; readonly broken: number | undefined } {
    const lines = (this.rest + piece).split("\n");
    this.rest = lines.pop() ?? "";
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
    if (this.rest.trim() === "") return "empty";
    const value = parse(this.rest);
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
