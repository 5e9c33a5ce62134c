import type { RunSummary } from "../../log/event-log.ts";
import { EXIT } from "../exit-code.ts";
import { formatRuns } from "../format-runs.ts";
import type { Io } from "../io.ts";
import type { LogCommand } from "../log-command.ts";
import { statusOfSummary } from "../run-status.ts";
import { safeJson } from "../sanitizer.ts";
import { standsInList } from "../stands-at.ts";
import { fit } from "../wrap.ts";
import { readPrune } from "./prune.ts";

const STATUSES = ["idle", "thinking", "acting", "waiting", "interrupted", "done", "failed", "cancelled", "damaged"];

export const runsCommand: LogCommand = {
  name: "runs",
  usage: "runs [--status S] [--json]",
  says: "the runs of the folder, the newest last",
  details: [
    ["--status S", `${STATUSES.slice(0, 5).join(", ")},`],
    ["", `${STATUSES.slice(5).join(", ")}, or not-running: left behind by a process that ended`],
    ["runs prune [RUN]", "drops the deltas of finished messages: the conversations stay, their pace goes"],
    ["  --older-than 7d", "deletes runs at rest that are older instead (s, m, h, d); asks, or wants --yes"],
  ],
  options: ["status", "json", "older-than", "yes"],
  read({ words, values }) {
    const [first, ...rest] = words;
    if (first === "prune") return readPrune(rest, values);
    if (first !== undefined)
      return `"runs" knows "prune" only, got ${JSON.stringify(first)}. One run: rubato show RUN.`;
    if (values["older-than"] !== undefined || values.yes === true) return 'That option is for "runs prune".';
    const { status, json = false } = values;
    if (status !== undefined && status !== "not-running" && !STATUSES.includes(status)) {
      return `--status must be one of ${STATUSES.join(", ")}, not-running; got ${JSON.stringify(status)}.`;
    }
    return (io) => listRuns(io, status, json);
  },
};

async function listRuns(io: Io, status: string | undefined, json: boolean): Promise<number> {
  const log = io.openLog();
  const all = log === undefined ? [] : await log.list();
  const wanted = all.filter((run) => status === undefined || fits(run, status));
  if (json) {
    for (const run of wanted) await io.out.write(`${safeJson(run)}\n`);
    return EXIT.done;
  }
  if (wanted.length === 0) {
    const some = status === undefined ? "There are no runs" : `No run is ${status.replace("-", " ")}`;
    await io.err.write(`${some} in "${io.place}".\n`);
    return EXIT.done;
  }
  const rows = formatRuns(wanted, { now: io.now(), width: io.columns, theme: io.theme });
  const [head = "", ...others] = rows;
  await io.out.write(`${head}\n`);
  for (const [index, row] of others.entries()) {
    await io.out.write(`${row}\n`);
    const run = wanted[index];
    if (run === undefined || log === undefined) continue;
    for (const line of await standsInList(log, run, io.program, io.now())) {
      await io.out.write(`  ${io.columns === undefined ? line : fit(line, io.columns - 3)}\n`);
    }
  }
  return EXIT.done;
}

function fits(run: RunSummary, status: string): boolean {
  const word = statusOfSummary(run);
  return status === "not-running" ? word.endsWith("not running") : word === status || word.startsWith(`${status},`);
}
