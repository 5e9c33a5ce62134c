import { it } from "vitest";
import { resumeAtOnce } from "./resumers.ts";

it.each([2, 8, 16, 32])(
  "P21 %i processes resume one run at once, some stopped in between: one wins",
  { timeout: 600_000 },
  async (count) => {
    await resumeAtOnce(count);
  },
);
