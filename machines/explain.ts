import type { AnyStateMachine, AnyStateNode } from "xstate";
import { agentGuards } from "./agent-rules.ts";
import { agentMachine } from "./agent.ts";
import { pathOf } from "./chart-table.ts";
import type { Event } from "./events.ts";
import type { AgentState } from "./state.ts";

/** A branch that the chart considered. */
export interface Considered {
  /** The guard that was asked; undefined for a branch without one. */
  readonly guard: string | undefined;
  readonly passed: boolean;
  /** Where the branch leads; undefined where it stays. */
  readonly target: string | undefined;
}

/** How the chart decided about an event: the branches in the order in which they were asked, up to the one that was taken. */
export interface Explanation {
  readonly from: string;
  readonly event: Event["type"];
  readonly considered: readonly Considered[];
  /** The state after it; undefined where no branch is open and the event is refused. */
  readonly to: string | undefined;
}

/**
 * Asks the agent chart's guards once more, by name, for whoever wants to see why a run went where it went. Reads the machine itself; what decides
 * is the compiled table (chart-table.ts), and a test holds the two together.
 */
export function explain({ core }: AgentState, event: Event): Explanation {
  const considered: Considered[] = [];
  const args = { context: core.context, event };
  for (let node = leafOf(agentMachine, core.value); node !== undefined; node = node.parent) {
    if (node.type === "final") break;
    for (const { guard, target } of node.transitions.get(event.type) ?? []) {
      const name = guard === undefined ? undefined : guardName(guard);
      const passed = name === undefined || asked(name, args);
      const [to] = target ?? [];
      const leaf = to === undefined ? undefined : pathOf(initialLeaf(to));
      considered.push({ guard: name, passed, target: leaf });
      if (passed) return { from: core.value, event: event.type, considered, to: leaf ?? core.value };
    }
  }
  return { from: core.value, event: event.type, considered, to: undefined };
}

type GuardArgs = Parameters<(typeof agentGuards)["stopAtBoundary"]>[0];
const guards: Readonly<Record<string, (args: GuardArgs) => boolean>> = agentGuards;

function asked(name: string, args: GuardArgs): boolean {
  return guards[name]?.(args) ?? false;
}

function leafOf(machine: AnyStateMachine, value: string): AnyStateNode | undefined {
  let node: AnyStateNode | undefined = machine.root;
  for (const key of value.split(".")) node = node?.states[key];
  return node;
}

function initialLeaf(node: AnyStateNode): AnyStateNode {
  const [first] = node.initial?.target ?? [];
  return first === undefined ? node : initialLeaf(first);
}

function guardName(guard: unknown): string {
  if (typeof guard === "string") return guard;
  return typeof guard === "object" && guard !== null && "type" in guard ? String(guard.type) : "guard";
}
