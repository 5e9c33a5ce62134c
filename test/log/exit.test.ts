import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { ROOT, source } from "../project/child.ts";

it("a program that owns a run at rest, or looked at one, ends when it has nothing else to do", async () => {
  const folder = mkdtempSync(join(tmpdir(), "rubato-exit-"));
  try {
    expect(await source(join(ROOT, "test/log/exit-child.ts"), folder)).toMatchObject({ code: 0, out: "done\n" });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
