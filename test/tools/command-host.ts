import { existsSync } from "node:fs";
import { join } from "node:path";
import { runCommand } from "rubato/tools";
import { fakeContext } from "./fixture.ts";

/** Runs a program by the tool, and exits in the middle of it once the file `go` is there. */
const [root = "", code = ""] = process.argv.slice(2);
setInterval(() => {
  if (existsSync(join(root, "go"))) process.exit(5);
}, 10);
await runCommand({ root }).execute({ command: process.execPath, args: ["-e", code], cwd: "." }, fakeContext());
