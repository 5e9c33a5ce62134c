import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { events } from "./rows/events.ts";
import { fileLogRow } from "./rows/file-log.ts";
import { fileSteps } from "./rows/file-steps.ts";
import { http } from "./rows/http.ts";
import { interrupt } from "./rows/interrupt.ts";
import { manyAgentsRow } from "./rows/many-agents.ts";
import { outside } from "./rows/outside.ts";
import { replayed } from "./rows/replay.ts";
import { steps } from "./rows/steps.ts";
import { tokens } from "./rows/tokens.ts";
import type { Line, Row } from "./support/row.ts";
import { table } from "./support/table.ts";

// The public benchmark: `npm run bench`, `npm run bench -- --quick`, `npm run bench -- --only steps`.
//
// Every figure stands beside that of a loop written by hand, measured in turn with it in the same run: absolute figures drift with the machine,
// ratios hardly do. It judges speed, not correctness: a missed target does not fail, a wrong answer does.

/** Loaded when it is measured: what a server brings along makes other rows slower that never use it. */
const server: Row = {
  name: "server",
  title: "the server, SSE and WebSocket",
  measure: async (options) => (await import("./rows/server.ts")).serverRow.measure(options),
};

const ROWS: readonly Row[] = [
  steps,
  tokens,
  manyAgentsRow,
  events,
  replayed,
  fileLogRow,
  fileSteps,
  outside,
  interrupt,
  http,
  server,
];

const { values } = parseArgs({ options: { quick: { type: "boolean", default: false }, only: { type: "string" } } });
const names = ROWS.map((row) => row.name);
const chosen = ROWS.filter((row) => values.only === undefined || row.name === values.only);

if (chosen.length === 0) {
  console.error(`There is no row "${values.only}". Rows: ${names.join(", ")}.`);
  process.exitCode = 2;
} else {
  if (globalThis.gc === undefined) console.warn("Without --expose-gc the figures for memory mean little.");
  const lines: Line[] = [];
  for (const row of chosen) {
    process.stderr.write(`${row.title} ...\n`);
    lines.push(...(await row.measure({ quick: values.quick })));
  }
  const [cpu] = cpus();
  console.log(`Node ${process.version}, ${cpus().length} x ${cpu?.model.trim() || "unknown processor"}\n`);
  console.log(table(lines));
  const judged = lines.filter((line) => line.met !== undefined);
  console.log(`\n${judged.filter((line) => line.met).length} of ${judged.length} targets met.`);
}
