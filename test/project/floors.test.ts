import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { node, ROOT } from "./child.ts";

// The linter is what keeps the floors apart: here it is seen to refuse what must not be. It lints files of a temporary folder with the
// repository's own rules, so that nothing is left in the sources, whatever ends this test.

const FORBIDDEN: readonly (readonly [file: string, code: string, reason: string])[] = [
  ["machines/fs.ts", 'import { readFileSync } from "node:fs"; export const read = readFileSync;', "pure floor"],
  ["machines/bare-fs.ts", 'import { readFileSync } from "fs"; export const read = readFileSync;', "pure floor"],
  ["machines/openai.ts", 'import { OpenAI } from "openai"; export const Client = OpenAI;', "pure floor"],
  [
    "machines/up.ts",
    'import { memoryLog } from "../runtime/log/memory.ts"; export const log = memoryLog;',
    "pure floor",
  ],
  [
    "machines/side.ts",
    'import { defineTool } from "../tools/tool.ts"; export const define = defineTool;',
    "pure floor",
  ],
  ["machines/clock.ts", "export const now = (): number => Date.now();", "reads no clock"],
  ["machines/timer.ts", "export const wait = (): unknown => setTimeout(() => {}, 1);", "time is an event"],
  ["machines/random.ts", "export const id = (): number => Math.random();", "no randomness"],
  ["machines/promise.ts", "export const later = Promise.resolve(1);", "synchronous"],
  ["tools/side.ts", 'import { step } from "../machines/step.ts"; export const go = step;', "floor 0"],
  ["tools/up.ts", 'import { memoryLog } from "../runtime/log/memory.ts"; export const log = memoryLog;', "floor 0"],
  ["runtime/floor-two.ts", 'import { program } from "./cli/program.ts"; export const main = program;', "floor 2"],
  ["runtime/served.ts", 'import { serve } from "./server/serve.ts"; export const start = serve;', "floor 2"],
  ["runtime/metrics/served.ts", 'import { serve } from "../server/serve.ts"; export const start = serve;', "floor 2"],
  ["runtime/traced.ts", 'import { traceOf } from "./inspect/trace.ts"; export const trace = traceOf;', "floor 2"],
  ["runtime/log/served.ts", 'import { serve } from "../server/serve.ts"; export const start = serve;', "floor 2"],
  [
    "runtime/demos.ts",
    'import { demoModel } from "../demos/support/model.ts"; export const m = demoModel;',
    "point down",
  ],
  ["runtime/client/fs.ts", 'import { readFileSync } from "node:fs"; export const read = readFileSync;', "in a browser"],
  ["runtime/client/socket.ts", 'import { WebSocket } from "ws"; export const Socket = WebSocket;', "in a browser"],
  ["runtime/client/bytes.ts", "export const empty = (): unknown => Buffer.alloc(0);", "in a browser"],
  ["runtime/client/timer.ts", "export const wait = (): unknown => setTimeout(() => {}, 1);", "injected clock"],
  ["runtime/react/crypto.ts", 'import { randomUUID } from "crypto"; export const id = randomUUID;', "in a browser"],
  ["runtime/server/protocol.ts", 'import { Hono } from "hono"; export const App = Hono;', "in a browser"],
  ["runtime/clock.ts", 'import { hrtime } from "node:process"; export const time = hrtime;', "in a browser"],
  ["runtime/up.ts", 'import { useRun } from "./react/use-run.ts"; export const use = useRun;', "floor 2"],
  ["runtime/cli/name.ts", 'import { createAgent } from "rubato"; export const create = createAgent;', "by path"],
];
const ALLOWED = [
  "machines/allowed.ts",
  'import { z } from "zod"; import { step } from "./step.ts"; export { step, z };',
] as const;

const reportSchema = z.object({
  diagnostics: z.array(z.object({ filename: z.string(), help: z.string().optional(), message: z.string() })),
});
const configSchema = z.looseObject({ options: z.unknown() });

let folder = "";
let said = (_file: string): string => "";

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "rubato-floors-"));
  // Type-aware rules need the whole program; the floors are a matter of names.
  const config = configSchema.parse(JSON.parse(readFileSync(join(ROOT, ".oxlintrc.json"), "utf8")));
  writeFileSync(join(folder, ".oxlintrc.json"), JSON.stringify({ ...config, options: {} }));
  for (const [file, code] of [...FORBIDDEN, ALLOWED]) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), `${code}\n`);
  }
  const { out } = await node([join(ROOT, "node_modules/oxlint/bin/oxlint"), "--format", "json"], { cwd: folder });
  const { diagnostics } = reportSchema.parse(JSON.parse(out));
  said = (file) =>
    diagnostics
      .filter(({ filename }) => filename.endsWith(file))
      .map(({ message, help = "" }) => `${message} ${help}`)
      .join("\n");
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe("the floors", () => {
  it.for(FORBIDDEN)("refuse %s: %s", ([file, , reason]) => {
    expect(said(file)).toContain(reason);
  });

  it("let through what is allowed", () => {
    expect(said(ALLOWED[0])).toBe("");
  });
});
