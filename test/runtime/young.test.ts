import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

/** About 7,000 bytes of each run stay; with a getter in one object literal of the shell it is five times as much. */
const MOST_BYTES = 15_000;

it("a run that is over is young garbage: nothing old keeps it until the next full collection", async () => {
  const program = fileURLToPath(new URL("../support/young-child.ts", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, ["--conditions=source", "--import", "tsx", program]);
  const bytes: unknown = JSON.parse(stdout);
  expect(bytes).toBeLessThan(MOST_BYTES);
});
