import type { AnyStateMachine, AnyStateNode } from "xstate";

/**
 * Draws a statechart as a Mermaid state diagram, from the machine itself, so that a drawing in a document cannot say what the chart does not do.
 *
 * A transition that stays where it is is left out: it says nothing about where the chart can go. Those between the same two states share one
 * arrow, `event [guard]` or `event [one / other guard]`, since Mermaid draws each line of text as an arrow of its own.
 *
 * Mermaid puts a state into whichever composite names it last, so a composite names its own states only; arrows that leave it stand below.
 */
export function toMermaid(machine: AnyStateMachine): string {
  const { root } = machine;
  const arrows = arrowsBelow(root);
  return [
    "stateDiagram-v2",
    ...insideOf(root, arrows).map((line) => `  ${line}`),
    ...arrows.filter(({ within }) => within === root).map((arrow) => `  ${lineOf(arrow)}`),
    "",
  ].join("\n");
}

interface Arrow {
  readonly source: AnyStateNode;
  readonly target: AnyStateNode;
  /** The innermost state that both lie in. */
  readonly within: AnyStateNode;
  /** By event: the guards of this arrow in the chart's order, `else` for a branch without one; none where the event always leads here. */
  readonly events: Map<string, readonly string[]>;
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

function arrowsBelow(root: AnyStateNode): Arrow[] {
  const arrows = new Map<string, Arrow>();
  for (const node of nodesBelow(root)) {
    for (const [event, transitions] of node.transitions) {
      for (const target of new Set(transitions.flatMap(({ target: targets }) => targets ?? []))) {
        const branches = transitions.filter(({ target: targets }) => targets?.includes(target));
        const always = branches.length === transitions.length && branches.some(({ guard }) => guard === undefined);
        const guards = always ? [] : branches.map(({ guard }) => guardName(guard));
        for (const source of sourcesOf(node, target)) {
          const key = `${idOf(source)} ${idOf(target)}`;
          const arrow = arrows.get(key) ?? { source, target, within: commonOf(source, target), events: new Map() };
          arrow.events.set(event, guards);
          arrows.set(key, arrow);
        }
      }
    }
  }
  return [...arrows.values()];
}

/** A composite's transition into itself is one of its other leaves: an arrow from a box to what lies in it draws badly. */
function sourcesOf(node: AnyStateNode, target: AnyStateNode): AnyStateNode[] {
  if (node === target) return [];
  if (!target.path.join(".").startsWith(`${node.path.join(".")}.`)) return [node];
  return nodesBelow(node).filter((inner) => !isComposite(inner) && inner !== target);
}

function commonOf(source: AnyStateNode, target: AnyStateNode): AnyStateNode {
  let node = source.parent ?? source;
  while (node.parent !== undefined && !target.path.join(".").startsWith(`${node.path.join(".")}.`)) node = node.parent;
  return node;
}

function lineOf({ source, target, events }: Arrow): string {
  const labels = [...events].map(([event, guards]) =>
    guards.length === 0 ? event : `${event} [${guards.join(" / ")}]`,
  );
  return `${idOf(source)} --> ${idOf(target)} : ${labels.join(", ")}`;
}

function guardName(guard: unknown): string {
  if (guard === undefined) return "else";
  if (typeof guard === "string") return guard;
  return typeof guard === "object" && guard !== null && "type" in guard ? String(guard.type) : "guard";
}

/** A name that two states have is no id in Mermaid: then the whole path is. */
function idOf(node: AnyStateNode): string {
  const same = nodesBelow(node.machine.root).filter(({ key }) => key === node.key);
  return same.length === 1 ? node.key : node.path.join("_");
}

function childrenOf(node: AnyStateNode): AnyStateNode[] {
  return Object.values(node.states);
}

function nodesBelow(node: AnyStateNode): AnyStateNode[] {
  return childrenOf(node).flatMap((child) => [child, ...nodesBelow(child)]);
}

function isComposite(node: AnyStateNode): boolean {
  return childrenOf(node).length > 0;
}
