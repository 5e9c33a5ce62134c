import type { Colors } from "./painter.ts";

let colors: Colors | undefined;

/** The theme's colours for the canvas, from the style sheet: read once per theme. */
export function colorsOf(): Colors {
  colors ??= read();
  return colors;
}

/** Calls back when the theme changed. */
export function onTheme(changed: () => void): void {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    colors = undefined;
    changed();
  });
}

function read(): Colors {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return {
    text: of("text"),
    dim: of("dim"),
    line: of("line"),
    band: of("band"),
    cursor: of("accent"),
    match: of("match"),
    tones: { plain: of("model"), good: of("good"), bad: of("bad"), warn: of("warn"), stop: of("stop") },
    kinds: { model: of("model"), tool: of("tool"), approval: of("approval"), interrupt: of("stop"), retry: of("bad") },
  };
}
