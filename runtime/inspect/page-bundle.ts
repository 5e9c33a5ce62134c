import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const SOURCE = new URL("./page/", import.meta.url);

/** Makes the page of its sources: texts, by their path below the page's own address. Only where the sources run: esbuild is no dependency of the package. */
export async function bundlePage(): Promise<ReadonlyMap<string, string>> {
  const { build } = await import("esbuild");
  const { outputFiles } = await build({
    entryPoints: {
      page: fileURLToPath(new URL("view/main.tsx", SOURCE)),
      "page-style": fileURLToPath(new URL("page.css", SOURCE)),
    },
    bundle: true,
    minify: true,
    write: false,
    outdir: "out",
    // One classic script: the exported file holds it inline, and from a disk a browser loads no modules.
    format: "iife",
    platform: "browser",
    target: ["es2022", "chrome110", "firefox115", "safari16.4"],
    charset: "utf8",
    legalComments: "none",
    loader: { ".jsonl": "text" },
    tsconfig: fileURLToPath(new URL("tsconfig.json", SOURCE)),
    conditions: ["source"],
    define: { "process.env.NODE_ENV": '"production"' },
  });
  const text = (suffix: string): string => outputFiles.find(({ path }) => path.endsWith(suffix))?.text ?? "";
  return new Map([
    ["index.html", await readFile(new URL("index.html", SOURCE), "utf8")],
    ["inspect/page.js", text("page.js")],
    ["inspect/page.css", text("page-style.css")],
  ]);
}
