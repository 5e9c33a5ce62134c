import { expect } from "vitest";
import { transition } from "xstate";
import { agentMachine, EFFECTS } from "rubato/machines";
import { agentTable } from "../../machines/step.ts";
import { chartEvents, chartSpace, isBeyond, keyOf } from "./chart-space.ts";

/** `thinking.streaming` for XState's nested value. */
export function pathOf(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null) return "";
  return Object.entries(value)
    .map(([key, inner]) => `${key}.${pathOf(inner)}`)
    .join();
}

function nested(path: string): Parameters<typeof agentMachine.resolveState>[0]["value"] {
  const [top = "", inner] = path.split(".");
  return inner === undefined ? top : { [top]: inner };
}

/**
 * Holds the compiled table to XState's own transition over reachable (state, event) pairs; every `stride`-th pair. Answers how many pairs were
 * compared.
 */
export function compareWithXState(stride: number): number {
  const effects: readonly string[] = EFFECTS;
  let pair = 0;
  let compared = 0;
  for (const state of chartSpace().states) {
    if (isBeyond(state) || state.value === "cancelled") continue;
    const snapshot = agentMachine.resolveState({ value: nested(state.value), context: state.context });
    for (const event of chartEvents) {
      if (pair++ % stride !== 0) continue;
      compared++;
      const move = agentTable.move(state.value, state.context, event);
      const [next, actions] = transition(agentMachine, snapshot, event);
      const names = actions.map((action) => action.type).filter((type) => effects.includes(type));
      const theirs = snapshot.can(event)
        ? { value: pathOf(next.value), context: next.context, effects: names }
        : undefined;
      if (JSON.stringify(move) !== JSON.stringify(theirs))
        expect(move, `${keyOf(state)} ${event.type}`).toEqual(theirs);
    }
  }
  return compared;
}
