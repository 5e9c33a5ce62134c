import { expect, it } from "vitest";
import { lookAgain } from "../../../runtime/inspect/page/view/look-again.ts";
import { deferred, quiet } from "../../support/agents.ts";
import { manualClock } from "../../support/manual-clock.ts";

it("P33: the list of runs is looked at once at a time, also where an answer takes longer than the wait, and no more once it ended", async () => {
  const clock = manualClock();
  const answers: ReturnType<typeof deferred<void>>[] = [];
  const stop = lookAgain(
    () => {
      const answer = deferred();
      answers.push(answer);
      return answer.promise;
    },
    5_000,
    clock,
  );
  clock.advance(4_999);
  expect(answers).toHaveLength(0);
  clock.advance(60_000);
  await quiet();
  expect(answers).toHaveLength(1);
  answers[0]?.resolve();
  await quiet();
  clock.advance(4_999);
  expect(answers).toHaveLength(1);
  clock.advance(1);
  expect(answers).toHaveLength(2);
  // One that fails is looked after as any other.
  answers[1]?.reject(new Error("away"));
  await quiet();
  clock.advance(5_000);
  expect(answers).toHaveLength(3);
  stop();
  answers[2]?.resolve();
  await quiet();
  expect(clock.pending).toBe(0);
});

it("a look that throws is looked after as one that rejects", async () => {
  const clock = manualClock();
  let looks = 0;
  const stop = lookAgain(
    () => {
      looks++;
      throw new Error("broken");
    },
    10,
    clock,
  );
  for (let round = 0; round < 3; round++) {
    clock.advance(10);
    await quiet();
  }
  expect(looks).toBe(3);
  stop();
});
