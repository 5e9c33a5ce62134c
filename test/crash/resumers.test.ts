import { it } from "vitest";
import { resumeAtOnce, takeOverFromStopped } from "./resumers.ts";

it("P21 four processes resume one run at once, some stopped in between: one wins (the full suite: up to 32)", async () => {
  await resumeAtOnce(4);
});

it("I16 an owner that was stopped and lost its run does nothing when it goes on", async () => {
  await takeOverFromStopped();
});
