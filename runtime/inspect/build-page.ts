import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { bundlePage } from "./page-bundle.ts";

// `npm run build`: the page's files beside the compiled sources.

const folder = join(import.meta.dirname, "../../dist/runtime/inspect/page");
for (const [path, text] of await bundlePage()) {
  const file = join(folder, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
}
