import * as fc from "fast-check";
import { expect, it } from "vitest";
import {
  encodeState,
  eventSchema,
  initialState,
  isTerminal,
  messageListProblem,
  parseEvent,
  stateHash,
  step,
} from "rubato/machines";
import type { Event } from "rubato/machines";
import { alphabet, eventOf } from "../support/alphabet.ts";
import { numRuns } from "../support/depth.ts";
import { fold } from "../support/invariants.ts";
import { projectLog } from "../support/project-log.ts";
import { choices, randomLog } from "../support/random-walk.ts";

const walks = { numRuns: numRuns(200), seed: 1 };

it("the walks reach what matters: deep logs, every state, most event types", () => {
  const types = new Set<string>();
  const values = new Set<string>();
  let longest = 0;
  fc.assert(
    fc.property(choices, (walk) => {
      const log = randomLog(walk);
      longest = Math.max(longest, log.length);
      let state = initialState();
      for (const event of log) {
        state = step(state, event).state;
        types.add(event.type);
        values.add(state.value);
      }
    }),
    walks,
  );
  expect(longest).toBeGreaterThan(60);
  expect(values.size).toBeGreaterThanOrEqual(12);
  expect(types.size).toBeGreaterThanOrEqual(20);
});

it("step is total: any event in any state is an answer, never an exception, and a refused one changes nothing", () => {
  const anyEvent = fc.oneof(
    fc.constantFrom(...alphabet()).map((draft) => eventOf(draft)),
    fc
      .record({ draft: fc.constantFrom(...alphabet()), seq: fc.nat({ max: 60 }) })
      .map(({ draft, seq }) => eventOf(draft, seq)),
  );
  fc.assert(
    fc.property(choices, fc.array(anyEvent, { maxLength: 30 }), (walk, events) => {
      let state = fold(randomLog(walk));
      for (const event of events) {
        const bytes = encodeState(state);
        const placed = { ...event, seq: state.seq + 1 };
        for (const tried of [event, placed]) {
          const result = step(state, tried);
          if (!result.accepted) {
            expect(result.state).toBe(state);
            expect(result.effects).toHaveLength(0);
            expect(result.reason).not.toBe("");
          } else expect(encodeState(state), "an older state never changes").toBe(bytes);
        }
        state = step(state, placed).state;
      }
    }),
    walks,
  );
});

it("P6 the fold is the same for any batch split, after encode / decode, and step by step", () => {
  fc.assert(
    fc.property(choices, fc.nat(), (walk, cut) => {
      const log = randomLog(walk);
      const whole = encodeState(fold(log));
      const at = log.length === 0 ? 0 : cut % log.length;
      expect(encodeState(fold(log.slice(at), fold(log.slice(0, at))))).toBe(whole);
      const decoded = log.map((event) => parseEvent(JSON.parse(JSON.stringify(event))));
      expect(encodeState(fold(decoded))).toBe(whole);
      expect(stateHash(fold(decoded))).toBe(stateHash(fold(log)));
    }),
    walks,
  );
});

it("R8 P13 for every prefix the messages are valid and equal to the projection of the whole log", () => {
  fc.assert(
    fc.property(choices, (walk) => {
      const log = randomLog(walk);
      let state = initialState();
      for (const [index, event] of log.entries()) {
        state = step(state, event).state;
        expect(messageListProblem(state.messages), `seq ${event.seq} ${event.type}`).toBeUndefined();
        expect(state.messages, `seq ${event.seq} ${event.type}`).toEqual(projectLog(log.slice(0, index + 1)));
      }
    }),
    walks,
  );
});

it("versions share storage and never show what came later, also when two branches grow from one state", () => {
  fc.assert(
    fc.property(choices, choices, choices, (trunk, left, right) => {
      const base = randomLog(trunk);
      const state = fold(base);
      const bytes = encodeState(state);
      const grow = (walk: readonly number[]): string => {
        const full = randomLog([...trunk, ...walk]);
        return encodeState(fold(full.slice(base.length), state));
      };
      const first = grow(left);
      grow(right);
      expect(grow(left)).toBe(first);
      expect(encodeState(state)).toBe(bytes);
    }),
    { ...walks, numRuns: numRuns(100) },
  );
});

it("R7 I3 a turn has at most one terminal event, also in random logs", () => {
  fc.assert(
    fc.property(choices, (walk) => {
      let state = initialState();
      let ended = -1;
      for (const event of randomLog(walk)) {
        const { turn } = state;
        state = step(state, event).state;
        if (!isTerminal(event)) continue;
        const again = ended === turn && event.type !== "cancelled" && event.type !== "failed";
        expect(again, `seq ${event.seq} ${event.type}`).toBe(false);
        ended = turn;
      }
    }),
    walks,
  );
});

it("every event of the alphabet is valid for the schema, and the schema refuses what is not an event", () => {
  for (const draft of alphabet()) expect(eventSchema.safeParse(eventOf(draft)).success, draft.type).toBe(true);
  const bad: unknown[] = [
    null,
    1,
    {},
    { type: "done" },
    { ...eventOf(alphabet()[0] ?? { type: "retry_due", data: { step: 1, attempt: 1 } }), seq: 0 },
  ];
  for (const value of bad) expect(eventSchema.safeParse(value).success).toBe(false);
});

it("I20 (at the level of the fold) a log with an event missing, doubled or swapped is refused where it breaks", () => {
  fc.assert(
    fc.property(choices, fc.nat(), (walk, at) => {
      const log = randomLog(walk);
      if (log.length < 3) return;
      const index = at % (log.length - 1);
      const refusedAt = (events: readonly Event[]): number => {
        let state = initialState();
        for (const [position, event] of events.entries()) {
          const result = step(state, event);
          if (!result.accepted) return position;
          state = result.state;
        }
        return -1;
      };
      expect(refusedAt(log.toSpliced(index, 1))).toBe(index);
      const [event] = log.slice(index, index + 1);
      if (event !== undefined) expect(refusedAt(log.toSpliced(index, 0, event))).toBe(index + 1);
    }),
    walks,
  );
});
