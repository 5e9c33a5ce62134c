import { describe, expect, it } from "vitest";
import { createActor, createMachine, type SnapshotFrom } from "xstate";
import { getShortestPaths } from "xstate/graph";
import { agentMachine, EFFECTS, EVENT_TYPES, initialState, step, toolCallMachine, type Event } from "rubato/machines";
import { compileChart } from "../../machines/chart-table.ts";
import { agentTable, toolCallTable } from "../../machines/step.ts";
import { chartEvents, chartSpace, isBeyond, keyOf } from "../support/chart-space.ts";
import { compareWithXState, pathOf } from "../support/compare-with-xstate.ts";
import { recordedLogs } from "../support/recorded-logs.ts";

const { states, edges } = chartSpace();

describe("the agent chart", () => {
  it("is plain JSON with named guards and actions", () => {
    for (const { config } of [agentMachine, toolCallMachine]) {
      expect(JSON.parse(JSON.stringify(config))).toEqual(config);
      expect(JSON.stringify(config)).not.toMatch(/"(invoke|always|entry|exit|history)":|"after":\{/);
    }
  });

  it("reaches every state by generated paths", () => {
    type Snapshot = SnapshotFrom<typeof agentMachine>;
    const paths = getShortestPaths(agentMachine, {
      events: [...chartEvents],
      serializeState: ({ value, context }) => keyOf({ value: pathOf(value), context }),
      serializeEvent: (event: Event) => JSON.stringify([event.type, event.data]),
      stopWhen: ({ context }: Snapshot) => {
        const { next, after, turnSteps, expected, pending, ready, running, orphans, interrupt } = context;
        const calls = expected + pending + ready + running + orphans;
        return next > 1 || after > 0 || turnSteps > 1 || calls > 1 || interrupt === "step";
      },
    });
    const reached = new Set(paths.map(({ state }) => pathOf(state.value)));
    expect([...reached].sort()).toEqual([...agentTable.leaves].sort());
  });

  it("reaches every state of the tool-call chart by generated paths", () => {
    const paths = getShortestPaths(toolCallMachine, {
      events: [
        ...chartEvents,
        ...(["ok", "rejected", "skipped", "aborted", "timeout", "unknown"] as const).map((outcome): Event => ({
          seq: 1,
          timestamp: 0,
          runId: "r",
          type: "tool_result",
          data: { callId: "1.0", attempt: 1, outcome, from: "running" },
        })),
      ],
      serializeEvent: (event: Event) => JSON.stringify([event.type, event.data]),
    });
    const reached = new Set(paths.map(({ state }) => pathOf(state.value)));
    expect([...reached].sort()).toEqual([...toolCallTable.leaves].sort());
  });

  it("never has a counter below zero", () => {
    for (const { value, context } of states) {
      const { next, after, expected, pending, ready, running, orphans } = context;
      if (Math.min(next, after, expected, pending, ready, running, orphans) < 0) expect.fail(keyOf({ value, context }));
    }
  });

  it("has no deadlock: from every reachable state the run can come to rest", () => {
    const before = new Map<string, string[]>();
    for (const { from, to } of edges) {
      const key = keyOf(to);
      const known = before.get(key);
      if (known === undefined) before.set(key, [keyOf(from)]);
      else known.push(keyOf(from));
    }
    const resting = new Set(["done", "failed", "cancelled", "interrupted.paused"]);
    const safe = new Set<string>();
    const queue = states.filter(({ value }) => resting.has(value)).map(keyOf);
    for (let key = queue.pop(); key !== undefined; key = queue.pop()) {
      if (safe.has(key)) continue;
      safe.add(key);
      queue.push(...(before.get(key) ?? []));
    }
    expect(
      states
        .filter((state) => !isBeyond(state))
        .map(keyOf)
        .filter((key) => !safe.has(key)),
    ).toEqual([]);
  });

  it("keeps R5 in every reachable state: no request and no start while an interrupt is requested", () => {
    for (const { from, event } of edges) {
      if (from.context.interrupt === "none") continue;
      if (event.type === "thinking" || event.type === "tool_start") expect.fail(`${event.type} in ${keyOf(from)}`);
    }
  });

  it("is what the compiled table does (a sample of the reachable pairs; the full suite takes all)", () => {
    expect(compareWithXState(101)).toBeGreaterThan(3_000);
  });

  it("refuses to compile what the table cannot do", () => {
    const parts = { guards: {}, updates: {}, effects: [], copy: (context: object) => context };
    const compile = (config: Parameters<typeof createMachine>[0]) => () => compileChart(createMachine(config), parts);
    expect(compile({ initial: "a", states: { a: { entry: "x" } } })).toThrow("entry");
    expect(compile({ initial: "a", states: { a: { on: { x: { actions: "unknown" } } } } })).toThrow("unknown action");
    expect(compile({ initial: "a", states: { a: { on: { x: { guard: "unknown" } } } } })).toThrow("unknown guard");
    expect(compile({ type: "parallel", states: { a: {}, b: {} } })).toThrow("parallel");
  });

  it("names every effect, and the alphabet of these tests names every event", () => {
    const text = JSON.stringify(agentMachine.config);
    for (const effect of EFFECTS) expect(text).toContain(`"${effect}"`);
    const tried = new Set(chartEvents.map((event) => event.type));
    expect(EVENT_TYPES.filter((type) => !tried.has(type))).toEqual(["tool_progress", "custom"]);
  });
});

describe("an XState actor that is fed with recorded logs", () => {
  it("walks the same states as step()", async () => {
    let compared = 0;
    for (const log of await recordedLogs()) {
      const actor = createActor(agentMachine).start();
      let state = initialState();
      for (const event of log) {
        actor.send(event);
        state = step(state, event).state;
        expect(pathOf(actor.getSnapshot().value), `seq ${event.seq} ${event.type}`).toBe(state.value);
        compared++;
      }
      actor.stop();
    }
    expect(compared).toBeGreaterThan(500);
  });
});
