import { defineConfig } from "vitest/config";

/** `npm test` leaves the `*.full.test.ts` files out and says so; `npm run test:full` (mode full) runs everything; `npm run kills` is a figure for the README. */
export default defineConfig(({ mode }) => ({
  resolve: { conditions: ["source"] },
  ssr: { resolve: { conditions: ["source"], externalConditions: ["source"] } },
  test: {
    include: mode === "kills" ? ["test/**/*.kills.ts"] : ["test/**/*.test.ts"],
    exclude: mode === "full" ? [] : ["test/**/*.full.test.ts"],
    globalSetup: mode === "full" || mode === "kills" ? [] : ["test/support/left-out.ts"],
    // Under our condition these would be loaded as TypeScript, which Node cannot: vitest compiles them.
    server: { deps: { inline: [/node_modules\/(?:ai|@ai-sdk|eventsource-parser)\//] } },
    // Only bounds: the full suite starts up to 32 processes at once, and whatever runs beside that waits for its turn.
    expect: { poll: { timeout: 60_000 } },
    testTimeout: mode === "full" ? 300_000 : 60_000,
    // One for each core of the smallest machine that it has to be quick on: by itself vitest leaves one core to others.
    maxWorkers: 2,
    // Loading the project anew for every file took a third of the time. What files share, they must not change: there is no mock of a module.
    isolate: false,
  },
}));
