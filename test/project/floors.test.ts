import { beforeAll, describe, expect, it } from "vitest";
import { linted } from "./linted.ts";

// The linter is what keeps the floors apart: here it is seen to refuse what must not be.

/** Names that lead out of the pure floor: to time, chance, I/O, the machine or the page that it runs on. */
const IMPURE_NAMES = [
  "Date",
  "Temporal",
  "performance",
  "Intl",
  "crypto",
  "process",
  "Buffer",
  "require",
  "module",
  "__dirname",
  "__filename",
  "window",
  "self",
  "document",
  "location",
  "navigator",
  "globalThis",
  "global",
  "eval",
  "Function",
  "console",
  "fetch",
  "XMLHttpRequest",
  "WebSocket",
  "EventSource",
  "localStorage",
  "sessionStorage",
  "indexedDB",
  "Worker",
  "SharedWorker",
  "MessageChannel",
  "MessagePort",
  "BroadcastChannel",
  "setTimeout",
  "setInterval",
  "setImmediate",
  "clearTimeout",
  "clearInterval",
  "clearImmediate",
  "requestAnimationFrame",
  "requestIdleCallback",
  "queueMicrotask",
  "Promise",
  "AbortSignal",
  "AbortController",
  "WeakRef",
  "FinalizationRegistry",
];

/** What machines/ must not import, though it looks like what it may. */
const IMPURE_IMPORTS = [
  "./../runtime/clock.ts",
  "./deep/../../runtime/clock.ts",
  "../test/support/agents.ts",
  "/runtime/clock.ts",
  "file:///runtime/clock.ts",
  "rubato",
  "zone.js",
  "zx",
  "zo",
  "zod-to-json-schema",
  "xs",
  "xstream",
  "xstate-tree",
  "@xstate/react",
];

type Forbidden = readonly [file: string, code: string, reason: string];

const FORBIDDEN: readonly Forbidden[] = [
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
  ["machines/again.ts", 'export { systemClock } from "../runtime/clock.ts";', "pure floor"],
  ["machines/all.ts", 'export * from "./../runtime/clock.ts";', "pure floor"],
  ["machines/typed.ts", 'import type { Clock } from "./../runtime/clock.ts"; export type C = Clock;', "pure floor"],
  ["machines/late.ts", 'export const late = (): unknown => import("../runtime/clock.ts");', "pure floor"],
  ["machines/async.ts", "export async function later() {}", "async"],
  ["machines/chance.ts", "const { random } = Math; export const id = random;", "no randomness"],
  ["machines/sorted.ts", "export const by = (a: string, b: string): number => a.localeCompare(b);", "no locale"],
  ["machines/shown.ts", "export const show = (n: number): string => n.toLocaleString();", "no locale"],
  ...IMPURE_NAMES.map((name): Forbidden => [
    `machines/name-${name}.ts`,
    `export const found = (): unknown => ${name};`,
    `Unexpected use of '${name}'`,
  ]),
  ...IMPURE_IMPORTS.map((from, index): Forbidden => [
    `machines/from-${index}.ts`,
    `import { thing } from "${from}"; export const other = thing;`,
    "pure floor",
  ]),
  ["tools/round.ts", 'import { step } from "./../machines/step.ts"; export const go = step;', "floor 0"],
  ["tools/name.ts", 'import { createAgent } from "rubato"; export const create = createAgent;', "floor 0"],
  ["tools/part.ts", 'import { step } from "rubato/machines"; export const go = step;', "floor 0"],
  ...[
    "machines/step.ts",
    "runtime/index.ts",
    "tools/tool.ts",
    "test/support/agents.ts",
    "dist/runtime/index.js",
  ].flatMap((path, index): Forbidden[] => [
    [`demos/up-${index}.ts`, `import { thing } from "../${path}"; export const other = thing;`, "by its name"],
    [`demos/support/up-${index}.ts`, `import { thing } from "../../${path}"; export const o = thing;`, "by its name"],
    [`demos/browser/up-${index}.tsx`, `export { thing } from "./../../${path}";`, "by its name"],
  ]),
];
const ALLOWED = [
  ["machines/allowed.ts", 'import { z } from "zod"; import { step } from "./step.ts"; export { step, z };'],
  ["machines/chart.ts", 'import { setup } from "xstate"; export const make = setup;'],
  ["machines/math.ts", "export const round = (n: number): number => Math.floor(n);"],
  [
    "tools/allowed.ts",
    'import { readFileSync } from "node:fs"; import { z } from "zod"; import { defineTool } from "./tool.ts"; export { defineTool, readFileSync, z };',
  ],
  [
    "demos/allowed.ts",
    'import { createAgent } from "rubato"; import { step } from "rubato/machines"; import { demoModel } from "./support/model.ts"; export { createAgent, demoModel, step };',
  ],
  ["demos/browser/allowed.ts", 'import { weather } from "../support/tools.ts"; export { weather };'],
] as const;

let said = (_file: string): string => "";

beforeAll(async () => {
  // Without type-aware rules: the floors are a matter of names.
  said = await linted([...FORBIDDEN, ...ALLOWED], { typeAware: false });
});

describe("the floors", () => {
  it.for(FORBIDDEN)("refuse %s: %s", ([file, , reason]) => {
    expect(said(file)).toContain(reason);
  });

  it.for(ALLOWED)("let %s through", ([file]) => {
    expect(said(file)).toBe("");
  });
});
