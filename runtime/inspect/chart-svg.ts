import type { AnyStateMachine } from "xstate";
import { isWithin, labelsOf, wayOf, type ChartBox, type ChartLayout } from "./chart-drawing.ts";

/**
 * A statechart as an SVG file of its own, from the machine and the layout that the page draws too. What leads along an arrow is its title, which a
 * browser shows at the pointer. In light and dark.
 */
export function chartSvg(machine: AnyStateMachine, { width, height, boxes, arrows }: ChartLayout): string {
  const labels = labelsOf(machine);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escape(machine.id)}</title>`,
    `<style>${STYLE}</style>`,
    `<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path class="head" d="M0 0.8 L7.5 4 L0 7.2 Z"/></marker></defs>`,
    `<rect class="paper" width="${width}" height="${height}"/>`,
    ...boxes.map((box) => rectOf(box, isComposite(box, boxes))),
    ...arrows.map((arrow) => {
      const { from, to } = arrow;
      const title = `${from} → ${to}: ${(labels.get(`${from} ${to}`) ?? []).join(", ")}`;
      return `<path class="arrow" d="${wayOf(arrow)}" marker-end="url(#head)"><title>${escape(title)}</title></path>`;
    }),
    // Above the arrows, which lead through composites.
    ...boxes.map((box) => nameOf(box, isComposite(box, boxes))),
    "</svg>\n",
  ].join("\n");
}

const STYLE = [
  ".paper{fill:#fff}.leaf{fill:#f6f7f9;stroke:#8a93a0}.composite{fill:none;stroke:#8a93a0}",
  "text,text.leaf{font:15px system-ui,sans-serif;fill:#1b2129;stroke:#fff;stroke-width:4px;paint-order:stroke}",
  "text.leaf{text-anchor:middle;stroke:none}",
  ".arrow{fill:none;stroke:#5b6470;stroke-width:1.3}.arrow:hover{stroke:#0b66d6;stroke-width:2.5}.head{fill:#5b6470}",
  "@media(prefers-color-scheme:dark){.paper{fill:#14181d}.leaf{fill:#1d232b;stroke:#6b7684}.composite{stroke:#6b7684}",
  "text,text.leaf{fill:#e6eaef;stroke:#14181d}text.leaf{stroke:none}.arrow{stroke:#9aa5b1}.head{fill:#9aa5b1}}",
].join("");

function isComposite({ path }: ChartBox, boxes: readonly ChartBox[]): boolean {
  return boxes.some((box) => box.path !== path && isWithin(box.path, path));
}

function rectOf({ x, y, width, height }: ChartBox, composite: boolean): string {
  const kind = composite ? "composite" : "leaf";
  return `<rect class="${kind}" x="${x}" y="${y}" width="${width}" height="${height}" rx="${composite ? 8 : 6}"/>`;
}

function nameOf({ path, x, y, width, height }: ChartBox, composite: boolean): string {
  const at = composite
    ? `x="${x + 12}" y="${y + 21}"`
    : `class="leaf" x="${x + width / 2}" y="${y + height / 2 + 5.5}"`;
  return `<text ${at}>${escape(path.split(".").at(-1) ?? path)}</text>`;
}

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
