import { expect, it } from "vitest";
import { explain, initialState, isHot, isNote, step } from "rubato/machines";
import { recordedLogs } from "../support/recorded-logs.ts";

it("says where the chart goes, for every control event of recorded runs", async () => {
  const guards = new Set<string>();
  let decided = 0;
  for (const events of await recordedLogs()) {
    let state = initialState();
    for (const event of events) {
      const result = step(state, event);
      if (!isHot(event) && !isNote(event) && event.type !== "gap") {
        const { from, considered, to } = explain(state, event);
        expect([from, to], `seq ${event.seq} ${event.type}`).toEqual([state.value, result.state.value]);
        expect(considered.map(({ passed }) => passed)).toEqual(
          considered.map((_one, at) => at === considered.length - 1),
        );
        for (const { guard } of considered) if (guard !== undefined) guards.add(guard);
        decided++;
      }
      state = result.state;
    }
  }
  expect(decided).toBeGreaterThan(200);
  expect(guards.size).toBeGreaterThan(20);
});

it("an event that no branch takes has none that passed", () => {
  const done = explain(initialState(), {
    seq: 1,
    timestamp: 0,
    runId: "r",
    type: "resume",
    data: { by: "user", partial: "keep" },
  });
  expect(done).toEqual({ from: "idle", event: "resume", considered: [], to: undefined });
});
