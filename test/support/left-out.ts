import { readdirSync, readFileSync } from "node:fs";

/** Says at the end of `npm test` which files it did not run, and of which it took a part, so that nobody takes it for everything. */
export function teardown(): void {
  const files = readdirSync("test", { recursive: true, encoding: "utf8" });
  const left = files.filter((file) => file.endsWith(".full.test.ts"));
  console.log(`\nLeft out: ${left.length} files that take long or need a terminal (${left.sort().join(", ")}).`);
  const sampled = files.filter(
    (file) => file.endsWith(".test.ts") && readFileSync(`test/${file}`, "utf8").includes("/depth.ts"),
  );
  console.log(`One in three of their moments or runs: ${sampled.sort().join(", ")}.`);
  console.log("Run everything with: npm run test:full\n");
}
