import elk, { type ElkNode, type ElkExtendedEdge } from "elkjs/lib/elk.bundled.js";
import type { AnyStateMachine, AnyStateNode } from "xstate";
import { arrowsOf, childrenOf, isComposite } from "../../../machines/chart-graph.ts";
import type { ChartArrow, ChartBox, ChartLayout } from "../../../runtime/inspect/chart-drawing.ts";

/** Places the states of a machine and the arrows between them. */
export async function layOut(machine: AnyStateMachine, direction: "DOWN" | "RIGHT"): Promise<ChartLayout> {
  const ELK = elk.default ?? elk;
  const graph: ElkNode = await new ELK().layout({
    id: "root",
    layoutOptions: {
      "elk.algorithm": "layered",
      "elk.direction": direction,
      "elk.hierarchyHandling": "INCLUDE_CHILDREN",
      "elk.edgeRouting": "ORTHOGONAL",
      "elk.randomSeed": "1",
      "elk.spacing.nodeNode": "12",
      "elk.spacing.edgeNode": "6",
      "elk.spacing.edgeEdge": "5",
      "elk.layered.spacing.nodeNodeBetweenLayers": "15",
      "elk.layered.spacing.edgeNodeBetweenLayers": "6",
      "elk.layered.spacing.edgeEdgeBetweenLayers": "4",
      "elk.layered.mergeEdges": "true",
      "elk.padding": "[top=4,left=4,bottom=4,right=4]",
    },
    children: childrenOf(machine.root).map(nodeOf),
    edges: arrowsOf(machine).map(({ source, target }, index) => ({
      id: `e${index}`,
      sources: [idOf(source)],
      targets: [idOf(target)],
    })),
  });
  const boxes: ChartBox[] = [];
  const places = new Map<string, { x: number; y: number }>([["root", { x: 0, y: 0 }]]);
  place(graph, 0, 0, boxes, places);
  const edges: ElkExtendedEdge[] = allEdges(graph);
  const arrows = arrowsOf(machine).map(({ source, target }, index): ChartArrow => {
    const edge = edges.find(({ id }) => id === `e${index}`);
    const [section] = edge?.sections ?? [];
    if (edge === undefined || section === undefined) throw new Error("An arrow has no way.");
    const origin = places.get(containerOf(edge)) ?? { x: 0, y: 0 };
    const points = [section.startPoint, ...(section.bendPoints ?? []), section.endPoint];
    return {
      from: source.path.join("."),
      to: target.path.join("."),
      points: points.map(({ x, y }) => [round(x + origin.x), round(y + origin.y)]),
    };
  });
  return { width: Math.ceil(graph.width ?? 0), height: Math.ceil(graph.height ?? 0), boxes, arrows };
}

function nodeOf(node: AnyStateNode): ElkNode {
  const id = idOf(node);
  if (isComposite(node)) {
    return {
      id,
      children: childrenOf(node).map(nodeOf),
      layoutOptions: { "elk.padding": "[top=32,left=10,bottom=10,right=10]" },
    };
  }
  return { id, width: 18 + node.key.length * 9.8, height: 34 };
}

function idOf({ path }: AnyStateNode): string {
  return path.join(".");
}

function place(
  node: ElkNode,
  x: number,
  y: number,
  boxes: ChartBox[],
  places: Map<string, { x: number; y: number }>,
): void {
  for (const child of node.children ?? []) {
    const at = { x: x + (child.x ?? 0), y: y + (child.y ?? 0) };
    places.set(child.id, at);
    boxes.push({
      path: child.id,
      x: round(at.x),
      y: round(at.y),
      width: round(child.width ?? 0),
      height: round(child.height ?? 0),
    });
    place(child, at.x, at.y, boxes, places);
  }
}

function allEdges(node: ElkNode): ElkExtendedEdge[] {
  return [...(node.edges ?? []), ...(node.children ?? []).flatMap(allEdges)];
}

/** ELK says in which node's coordinates an edge stands. */
function containerOf(edge: ElkExtendedEdge): string {
  return "container" in edge && typeof edge.container === "string" ? edge.container : "root";
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
