import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileLog } from "rubato";
import { describeEventLog } from "./event-log.ts";

for (const durability of ["process", "power"] as const) {
  describeEventLog(`file, ${durability}`, () => {
    const folder = mkdtempSync(join(tmpdir(), "rubato-log-"));
    const open = () => fileLog(folder, { durability, pollMs: 10 });
    return {
      log: open(),
      other: open(),
      close: async () => {
        rmSync(folder, { recursive: true, force: true });
      },
    };
  });
}
