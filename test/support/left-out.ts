import { readdirSync } from "node:fs";

/** Says at the end of `npm test` which files it did not run, so that nobody takes it for everything. */
export function teardown(): void {
  const left = readdirSync("test", { recursive: true, encoding: "utf8" }).filter((file) =>
    file.endsWith(".full.test.ts"),
  );
  console.log(`\nLeft out: ${left.length} files that take long or need a terminal (${left.sort().join(", ")}).`);
  console.log("Run everything with: npm run test:full\n");
}
