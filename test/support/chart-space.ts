import { INITIAL_CONTEXT, type ChartContext, type Event } from "rubato/machines";
import { agentTable } from "../../machines/step.ts";
import { alphabet, eventOf } from "./alphabet.ts";

export interface ChartState {
  readonly value: string;
  readonly context: ChartContext;
}

export const chartEvents: readonly Event[] = alphabet().map((draft) => eventOf(draft));

/** Which turn and which step it is decides nothing: states that differ only there are one. */
export function keyOf({ value, context }: ChartState): string {
  return JSON.stringify([value, { ...context, turn: Math.min(context.turn, 1), step: Math.min(context.step, 1) }]);
}

/** Two calls, one input of each kind: enough for every guard to see "some", "the last one" and "none". */
export function isBeyond({ context }: ChartState): boolean {
  const { expected, pending, ready, running, orphans, next, after, turnSteps } = context;
  return next > 1 || after > 1 || turnSteps > 2 || orphans > 1 || expected + pending + ready + running + orphans > 2;
}

export interface ChartEdge {
  readonly from: ChartState;
  readonly event: Event;
  readonly to: ChartState;
}

/** Every state that the events reach from the start, within the bounds, and every move between them. */
export function chartSpace(): { readonly states: readonly ChartState[]; readonly edges: readonly ChartEdge[] } {
  const first: ChartState = { value: agentTable.initial, context: INITIAL_CONTEXT };
  const seen = new Map([[keyOf(first), first]]);
  const edges: ChartEdge[] = [];
  const queue = [first];
  for (let from = queue.pop(); from !== undefined; from = queue.pop()) {
    if (isBeyond(from)) continue;
    for (const event of chartEvents) {
      const move = agentTable.move(from.value, from.context, event);
      if (move === undefined) continue;
      const to: ChartState = { value: move.value, context: move.context };
      edges.push({ from, event, to });
      const key = keyOf(to);
      if (seen.has(key)) continue;
      seen.set(key, to);
      queue.push(to);
    }
  }
  return { states: [...seen.values()], edges };
}
