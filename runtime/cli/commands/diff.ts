import { diffRuns, type RunDiff } from "../../diff-runs.ts";
import { EXIT } from "../exit-code.ts";
import { findRun, needLog } from "../find-run.ts";
import { formatDiff } from "../format-diff.ts";
import type { Io } from "../io.ts";
import type { LogCommand } from "../log-command.ts";
import { safeJson } from "../sanitizer.ts";

export const diffCommand: LogCommand = {
  name: "diff",
  usage: "diff A B [--json]",
  says: "where two runs part, and what each said, did and cost after that",
  options: ["json"],
  read({ words, values }) {
    const [a, b, more] = words;
    if (a === undefined || b === undefined || more !== undefined) return '"diff" needs two runs: rubato diff A B.';
    return (io) => diff(io, a, b, values.json === true);
  },
};

async function diff(io: Io, one: string, other: string, json: boolean): Promise<number> {
  const log = needLog(io);
  const a = await findRun(io, log, one);
  const b = await findRun(io, log, other);
  const found: RunDiff = await diffRuns(log, a, b);
  if (json) await io.out.write(`${safeJson(found)}\n`);
  else for (const row of formatDiff(found, io.theme)) await io.out.write(`${row}\n`);
  return EXIT.done;
}
