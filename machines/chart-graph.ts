import type { AnyStateMachine, AnyStateNode } from "xstate";

/**
 * What every drawing of a statechart shows, read from the machine itself: Mermaid, the page of the visualizer and what lays it out come from here,
 * so no two of them can say something different.
 *
 * A transition that stays where it is is no arrow: it says nothing about where the chart can go. Those between the same two states are one.
 */

export interface Arrow {
  readonly source: AnyStateNode;
  readonly target: AnyStateNode;
  /** The innermost state that both lie in. */
  readonly within: AnyStateNode;
  /** By event: the guards of this arrow in the chart's order, `else` for a branch without one; none where the event always leads here. */
  readonly events: Map<string, readonly string[]>;
}

/** Every arrow of a machine, in the order in which its states name them. */
export function arrowsOf({ root }: AnyStateMachine): Arrow[] {
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

/** A branch without a guard is what else happens. */
export function guardName(guard: unknown): string {
  if (guard === undefined) return "else";
  if (typeof guard === "string") return guard;
  return typeof guard === "object" && guard !== null && "type" in guard ? String(guard.type) : "guard";
}

/** The name of a state in a drawing. A name that two states have is no id: then the whole path is. */
export function idOf(node: AnyStateNode): string {
  const same = nodesBelow(node.machine.root).filter(({ key }) => key === node.key);
  return same.length === 1 ? node.key : node.path.join("_");
}

export function childrenOf(node: AnyStateNode): AnyStateNode[] {
  return Object.values(node.states);
}

/** Every state below this one, each before what lies in it. */
export function nodesBelow(node: AnyStateNode): AnyStateNode[] {
  return childrenOf(node).flatMap((child) => [child, ...nodesBelow(child)]);
}

export function isComposite(node: AnyStateNode): boolean {
  return childrenOf(node).length > 0;
}
