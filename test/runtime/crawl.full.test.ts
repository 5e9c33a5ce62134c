import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const PROGRAM = fileURLToPath(new URL("./crawl-child.ts", import.meta.url));
const MIB = 1_048_576;

/** What a run of a million tokens takes beside what it took after its first 10,000, in a process of its own. */
function grown(policy: string): { readonly grown: number; readonly highWater: number; readonly seq: number } {
  const args = ["--expose-gc", "--conditions=source", "--import", "tsx", PROGRAM, policy, "100"];
  const child = spawnSync(process.execPath, args, { encoding: "utf8" });
  expect(child.stderr).toBe("");
  return JSON.parse(child.stdout);
}

it(
  "P27 I19 a million tokens to a consumer at a hundredth of their pace take little memory",
  { timeout: 900_000 },
  () => {
    const alone = grown("none");
    console.log(`\nno consumer: ${(alone.grown / MIB).toFixed(1)} MiB grown`);
    for (const policy of ["catch-up", "coalesce", "drop-oldest", "drop-newest", "disconnect", "block"]) {
      const figures = grown(policy);
      const { seq, highWater } = figures;
      console.log(`${policy}: ${(figures.grown / MIB).toFixed(1)} MiB grown, at most ${highWater} events waited`);
      expect(seq).toBeGreaterThan(1_000_000);
      expect(highWater, policy).toBeLessThanOrEqual(2_000);
      // The answers themselves, which the state keeps, are some 6 MB of it.
      expect(figures.grown, policy).toBeLessThanOrEqual(32 * MIB);
    }
  },
);
