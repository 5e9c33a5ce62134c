import type { AnyStateMachine, AnyStateNode } from "xstate";
import type { Event } from "./events.ts";

/**
 * A statechart compiled to a table: for each leaf state, what each event may do. XState's own transition takes some microseconds; a run
 * takes several per step, and a table takes a fraction of one.
 *
 * The machine stays the one definition of control flow: this file reads XState's own resolved transitions, guards and targets, and refuses a
 * machine that uses anything it does not know. A test holds it to XState over every reachable (state, event) pair.
 */

interface Args<Context> {
  readonly context: Context;
  readonly event: Event;
}
type Guard<Context> = (args: Args<Context>) => boolean;
type Update<Context> = (draft: Context, event: Event) => void;

interface Candidate<Context, Effect extends string> {
  readonly guard: Guard<Context> | undefined;
  readonly target: string | undefined;
  readonly updates: readonly Update<Context>[];
  readonly effects: readonly Effect[];
}

/** What a chart made of an event. `undefined` says that no transition is enabled: the event is refused. */
export interface ChartMove<Context, Effect extends string> {
  readonly value: string;
  readonly context: Context;
  readonly effects: readonly Effect[];
}

export interface ChartTable<Context, Effect extends string> {
  /** The leaf state that the chart begins in, as a path with dots. */
  readonly initial: string;
  /** Every leaf state. */
  readonly leaves: readonly string[];
  move(value: string, context: Context, event: Event): ChartMove<Context, Effect> | undefined;
  /** Where it goes, and nothing else. For a chart without updates. */
  target(value: string, context: Context, event: Event): string | undefined;
}

interface Implementations<Context, Effect extends string> {
  readonly guards: Readonly<Record<string, Guard<Context>>>;
  readonly updates: Readonly<Record<string, Update<Context>>>;
  readonly effects: readonly Effect[];
  /** A copy that updates change, so that a move makes one new context however many there are. */
  readonly copy: (context: Context) => Context;
}

/** Compiles a machine. Throws when it uses what the table cannot do. */
export function compileChart<Context extends object, Effect extends string>(
  machine: AnyStateMachine,
  parts: Implementations<Context, Effect>,
): ChartTable<Context, Effect> {
  const table = new Map<string, ReadonlyMap<string, readonly Candidate<Context, Effect>[]>>();
  for (const leaf of leavesBelow(machine.root)) table.set(pathOf(leaf), rowOf(leaf, parts));
  function enabled(value: string, context: Context, event: Event): Candidate<Context, Effect> | undefined {
    const candidates = table.get(value)?.get(event.type);
    if (candidates === undefined) return undefined;
    let args: Args<Context> | undefined;
    for (const candidate of candidates) {
      if (candidate.guard === undefined) return candidate;
      args ??= { context, event };
      if (candidate.guard(args)) return candidate;
    }
    return undefined;
  }
  return {
    initial: pathOf(initialLeaf(machine.root)),
    leaves: [...table.keys()],
    move(value, context, event) {
      const candidate = enabled(value, context, event);
      if (candidate === undefined) return undefined;
      const { target = value, updates, effects } = candidate;
      if (updates.length === 0) return { value: target, context, effects };
      const draft = parts.copy(context);
      for (const update of updates) update(draft, event);
      return { value: target, context: draft, effects };
    },
    target(value, context, event) {
      const candidate = enabled(value, context, event);
      return candidate === undefined ? undefined : (candidate.target ?? value);
    },
  };
}

/** The transitions of a leaf and of what encloses it, the inner ones first, as XState asks them. */
function rowOf<Context, Effect extends string>(
  leaf: AnyStateNode,
  parts: Implementations<Context, Effect>,
): ReadonlyMap<string, readonly Candidate<Context, Effect>[]> {
  const row = new Map<string, Candidate<Context, Effect>[]>();
  // A final state ends the machine: XState would still transition, a run must not.
  if (leaf.type === "final") return row;
  for (let node: AnyStateNode | undefined = leaf; node !== undefined; node = node.parent) {
    for (const [type, transitions] of node.transitions) {
      const candidates = row.get(type) ?? [];
      for (const transition of transitions) candidates.push(candidateOf(node, transition, parts));
      row.set(type, candidates);
    }
  }
  return row;
}

interface TransitionLike {
  readonly guard?: unknown;
  readonly actions: readonly unknown[];
  readonly target: readonly AnyStateNode[] | undefined;
}

function candidateOf<Context, Effect extends string>(
  node: AnyStateNode,
  { guard, actions, target }: TransitionLike,
  parts: Implementations<Context, Effect>,
): Candidate<Context, Effect> {
  const updates: Update<Context>[] = [];
  const effects: Effect[] = [];
  for (const action of actions) {
    const name = nameOf(action, node);
    const update = parts.updates[name];
    const effect = parts.effects.find((known) => known === name);
    if (update !== undefined) updates.push(update);
    else if (effect !== undefined) effects.push(effect);
    else throw new Error(`The chart cannot be compiled: "${node.id}" names the unknown action "${name}".`);
  }
  if (target !== undefined && target.length !== 1) {
    throw new Error(`The chart cannot be compiled: "${node.id}" has a transition with several targets.`);
  }
  const [only] = target ?? [];
  const found = guard === undefined ? undefined : parts.guards[nameOf(guard, node)];
  if (guard !== undefined && found === undefined) {
    throw new Error(`The chart cannot be compiled: "${node.id}" names an unknown guard.`);
  }
  return { guard: found, target: only === undefined ? undefined : pathOf(initialLeaf(only)), updates, effects };
}

function nameOf(part: unknown, node: AnyStateNode): string {
  if (typeof part === "string") return part;
  if (typeof part === "object" && part !== null && "type" in part && typeof part.type === "string") return part.type;
  throw new Error(`The chart cannot be compiled: "${node.id}" has a guard or an action without a name.`);
}

function leavesBelow(node: AnyStateNode): AnyStateNode[] {
  if (node.type === "parallel" || node.type === "history") {
    throw new Error(`The chart cannot be compiled: "${node.id}" is ${node.type}.`);
  }
  if (node.entry.length + node.exit.length + node.invoke.length + (node.always?.length ?? 0) > 0) {
    throw new Error(`The chart cannot be compiled: "${node.id}" has entry, exit, invoke or always.`);
  }
  const children: AnyStateNode[] = Object.values(node.states);
  return children.length === 0 ? [node] : children.flatMap(leavesBelow);
}

function initialLeaf(node: AnyStateNode): AnyStateNode {
  if (node.type !== "compound") return node;
  const [target] = node.initial.target ?? [];
  if (target === undefined) throw new Error(`The chart cannot be compiled: "${node.id}" has no initial state.`);
  return initialLeaf(target);
}

/** `thinking.streaming` for the leaf below the root. */
export function pathOf(node: AnyStateNode): string {
  return node.path.join(".");
}
