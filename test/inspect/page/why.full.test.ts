import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fuzz, type OnLog } from "../../support/fuzz.ts";
import { fuzzRecovery } from "../../support/fuzz-recovery.ts";
import { choices, randomLog } from "../../support/random-walk.ts";
import { recordedLogs } from "../../support/recorded-logs.ts";
import { recoveredLog } from "../../support/recovered-log.ts";
import { golden, GOLDEN } from "./golden.ts";
import { causeProblems, HOSTILE, hostileProblems, whyProblems, wordProblems } from "./why-checks.ts";

/** More says nothing more. */
const ENOUGH = 20;

function collector(causes = true): {
  readonly check: OnLog;
  readonly problems: string[];
  readonly checked: () => number;
} {
  const problems: string[] = [];
  let checked = 0;
  return {
    problems,
    checked: () => checked,
    check(events) {
      checked++;
      if (problems.length >= ENOUGH) return;
      const text = HOSTILE[checked % HOSTILE.length] ?? "";
      problems.push(...whyProblems(events), ...hostileProblems(events, text));
      if (causes) problems.push(...causeProblems(events));
    },
  };
}

/** Every prefix of very many runs: the sentence says what the lines alone say, and no more than they say (W1-W3). */
describe("why did it stop here: against an oracle of the lines alone, long", () => {
  it.each([1, 501, 1_001])("of random runs from seed %i on", { timeout: 300_000 }, async (seed) => {
    const { check, problems, checked } = collector();
    expect(await fuzz(seed, 500, check)).toEqual([]);
    expect(problems).toEqual([]);
    expect(checked()).toBe(500);
  });

  it.each([1, 201])(
    "of random runs that are taken over and forked, from seed %i on",
    { timeout: 300_000 },
    async (seed) => {
      const { check, problems, checked } = collector();
      expect(await fuzzRecovery(seed, 200, check)).toEqual([]);
      expect(problems).toEqual([]);
      expect(checked()).toBeGreaterThan(400);
    },
  );

  it("of every prefix of recorded runs that another process takes over", { timeout: 300_000 }, async () => {
    const { check, problems, checked } = collector(false);
    for (const events of [...(await recordedLogs()), ...GOLDEN.map(golden)]) {
      for (let length = 2 + (checked() % 5); length <= events.length; length += 5)
        check(recoveredLog(events.slice(0, length), 90));
    }
    expect(problems).toEqual([]);
    expect(checked()).toBeGreaterThan(100);
  });

  it("is a sentence whatever the chart takes", { timeout: 300_000 }, () => {
    fc.assert(
      fc.property(choices, (list) => {
        expect(wordProblems(randomLog(list))).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });
});
