/** How text looks. Without colour every function gives its text back. */
export interface Theme {
  readonly dim: (text: string) => string;
  readonly bold: (text: string) => string;
  readonly accent: (text: string) => string;
  readonly warn: (text: string) => string;
  readonly error: (text: string) => string;
  /** What is new in a comparison. */
  readonly add: (text: string) => string;
}

export function createTheme(colour: boolean): Theme {
  const style =
    (open: number, close: number) =>
    (text: string): string =>
      colour && text !== "" ? `\u001b[${open}m${text}\u001b[${close}m` : text;
  return {
    dim: style(2, 22),
    bold: style(1, 22),
    accent: style(36, 39),
    warn: style(33, 39),
    error: style(31, 39),
    add: style(32, 39),
  };
}

/** Whether colour is wanted (no-color.org). */
export function wantsColour(env: Readonly<Record<string, string | undefined>>): boolean {
  return (env["NO_COLOR"] ?? "") === "";
}
