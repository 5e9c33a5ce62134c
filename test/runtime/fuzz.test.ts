import { expect, it } from "vitest";
import { fuzz } from "../support/fuzz.ts";

/** `FUZZ_SEED=123` replays the seed that a failure named. */
const replayed = process.env["FUZZ_SEED"];

it("random commands at random moments break no promise (a sample; P6, P11, P17, P19, P26, R1-R8)", async () => {
  const [from, count] = replayed === undefined ? [1, 400] : [Number(replayed), 1];
  expect(await fuzz(from, count)).toEqual([]);
});
