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
    match: of("match"),
    // White is written on them.
    tones: {
      plain: of("model"),
      good: of("span-good"),
      bad: of("span-bad"),
      warn: of("span-warn"),
      stop: of("span-stop"),
    },
    kinds: {
      model: of("model"),
      tool: of("tool"),
      approval: of("approval"),
      interrupt: of("span-stop"),
      retry: of("span-bad"),
    },
  };
}
