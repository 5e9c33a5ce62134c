import type { AnyStateMachine, AnyStateNode } from "xstate";
import { arrowsOf, childrenOf, idOf, isComposite, type Arrow } from "./chart-graph.ts";

/**
 * Draws a statechart as a Mermaid state diagram, from the machine itself, so that a drawing in a document cannot say what the chart does not do.
 *
 * An arrow is labelled `event [guard]` or `event [one / other guard]`: one line of text, since Mermaid draws each as an arrow of its own.
 *
 * Mermaid puts a state into whichever composite names it last, so a composite names its own states only; arrows that leave it stand below.
 */
export function toMermaid(machine: AnyStateMachine): string {
  const { root } = machine;
  const arrows = arrowsOf(machine);
  return [
    "stateDiagram-v2",
    ...insideOf(root, arrows).map((line) => `  ${line}`),
    ...arrows.filter(({ within }) => within === root).map((arrow) => `  ${lineOf(arrow)}`),
    "",
  ].join("\n");
}

/** The states of a composite and the arrows between them. The arrows of the root come last, when every state has its place. */
function insideOf(node: AnyStateNode, arrows: readonly Arrow[]): string[] {
  const lines: string[] = [];
  for (const target of node.initial?.target ?? []) lines.push(`[*] --> ${idOf(target)}`);
  for (const child of childrenOf(node)) {
    if (isComposite(child)) {
      const own = arrows.filter(({ within }) => within === child).map(lineOf);
      lines.push(`state ${idOf(child)} {`);
      lines.push(...[...insideOf(child, arrows), ...own].map((line) => `  ${line}`), "}");
      continue;
    }
    const inside = arrows.filter(({ within }) => within === node);
    if (!inside.some(({ source, target }) => source === child || target === child)) lines.push(idOf(child));
    if (child.type === "final") lines.push(`${idOf(child)} --> [*]`);
  }
  return lines;
}

function lineOf({ source, target, events }: Arrow): string {
  const labels = [...events].map(([event, guards]) =>
    guards.length === 0 ? event : `${event} [${guards.join(" / ")}]`,
  );
  return `${idOf(source)} --> ${idOf(target)} : ${labels.join(", ")}`;
}
