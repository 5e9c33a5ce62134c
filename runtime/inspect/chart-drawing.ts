import type { AnyStateMachine, AnyStateNode } from "xstate";
import { arrowsOf, guardName, nodesBelow } from "../../machines/chart-graph.ts";

/** Where everything of a chart stands, in units of its own drawing. Composites come before what lies in them. */
export interface ChartLayout {
  readonly width: number;
  readonly height: number;
  readonly boxes: readonly ChartBox[];
  readonly arrows: readonly ChartArrow[];
}

export interface ChartBox {
  /** Of the state, such as `thinking.streaming`. */
  readonly path: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface ChartArrow {
  readonly from: string;
  readonly to: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** What a state does with an event, a branch each, in the order in which they are asked. */
export interface BranchDefinition {
  readonly event: string;
  readonly guard: string | undefined;
  /** Undefined: it stays where it is. */
  readonly target: string | undefined;
  readonly actions: readonly string[];
}

/** A state as its machine defines it. */
export interface StateDefinition {
  readonly path: string;
  readonly key: string;
  readonly kind: "atomic" | "compound" | "final";
  readonly description: string;
  readonly branches: readonly BranchDefinition[];
}

/** Every state of a machine by its path, the definitions as its machine has them. */
export function definitionsOf(machine: AnyStateMachine): ReadonlyMap<string, StateDefinition> {
  return new Map(nodesBelow(machine.root).map((node) => [node.path.join("."), definitionOf(node)]));
}

/** What stands at the arrow from one state to another: each event with its guards. */
export function labelsOf(machine: AnyStateMachine): ReadonlyMap<string, readonly string[]> {
  return new Map(
    arrowsOf(machine).map(({ source, target, events }) => [
      `${source.path.join(".")} ${target.path.join(".")}`,
      [...events].map(([event, guards]) => (guards.length === 0 ? event : `${event} [${guards.join(" / ")}]`)),
    ]),
  );
}

/** The arrow of a transition between two leaves: their own, or one of the composites that they lie in. */
export function arrowBetween(layout: ChartLayout, from: string, to: string): ChartArrow | undefined {
  for (let source = from; source !== ""; source = parentOf(source)) {
    for (let target = to; target !== ""; target = parentOf(target)) {
      const arrow = layout.arrows.find((known) => known.from === source && known.to === target);
      if (arrow !== undefined) return arrow;
    }
  }
  return undefined;
}

/** Whether a state is this one or lies in it. */
export function isWithin(path: string, outer: string): boolean {
  return path === outer || path.startsWith(`${outer}.`);
}

function parentOf(path: string): string {
  return path.split(".").slice(0, -1).join(".");
}

function definitionOf(node: AnyStateNode): StateDefinition {
  const branches = [...node.transitions].flatMap(([event, transitions]) =>
    transitions.map(({ guard, target, actions }): BranchDefinition => ({
      event,
      guard: guard === undefined ? undefined : guardName(guard),
      target: target?.[0]?.path.join("."),
      actions: actions.map(guardName),
    })),
  );
  const kind = node.type === "final" || node.type === "compound" ? node.type : "atomic";
  return { path: node.path.join("."), key: node.key, kind, description: node.description ?? "", branches };
}

/** The way of an arrow in SVG, with round corners. */
export function wayOf({ points }: ChartArrow): string {
  const [first = [0, 0], ...rest] = points;
  let way = `M${first[0]} ${first[1]}`;
  let before = first;
  for (const [index, point] of rest.entries()) {
    const next = rest[index + 1];
    if (next === undefined) {
      way += ` L${point[0]} ${point[1]}`;
      continue;
    }
    const start = towards(point, before);
    const end = towards(point, next);
    way += ` L${start[0]} ${start[1]} Q${point[0]} ${point[1]} ${end[0]} ${end[1]}`;
    before = point;
  }
  return way;
}

type Point = readonly [x: number, y: number];
const CORNER = 5;

function towards([x, y]: Point, [toX, toY]: Point): Point {
  const length = Math.hypot(toX - x, toY - y) || 1;
  const by = Math.min(CORNER, length / 2) / length;
  return [x + (toX - x) * by, y + (toY - y) * by];
}
