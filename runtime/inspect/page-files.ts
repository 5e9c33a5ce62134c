import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";

/** A file of the page, as a server sends it. */
export interface PageFile {
  readonly type: string;
  readonly text: string;
}

/** By their path below the page's own address. */
export type PageFiles = ReadonlyMap<string, PageFile>;

const TYPES: Readonly<Record<string, string>> = {
  "index.html": "text/html; charset=utf-8",
  "inspect/page.js": "text/javascript; charset=utf-8",
  "inspect/page.css": "text/css; charset=utf-8",
};

/** What the page may do: load its own two files and talk to whom it came from. Nothing inline, nothing of others, in nobody's frame. */
export const PAGE_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

let files: Promise<PageFiles> | undefined;

/** The page: as it was built, or made of its sources where those run. Read once. */
export function pageFiles(): Promise<PageFiles> {
  files ??= load();
  return files;
}

async function load(): Promise<PageFiles> {
  const textOf = await reader();
  const all = Object.entries(TYPES).map(async ([path, type]): Promise<[string, PageFile]> => [
    path,
    { type, text: await textOf(path) },
  ]);
  const read = new Map(await Promise.all(all));
  const index = read.get("index.html");
  if (index !== undefined) read.set("index.html", { ...index, text: named(index.text, read) });
  return read;
}

/** The page with the hashes of its files: what it exports names them in its policy, and a browser computes them for a page over plain http on no other machine. */
function named(html: string, all: PageFiles): string {
  return html.replaceAll(/(?:src|href)="(inspect\/[^"]+)"/g, (attribute: string, path: string) => {
    const hash = createHash("sha256")
      .update(all.get(path)?.text ?? "")
      .digest("base64");
    return `${attribute} integrity="sha256-${hash}"`;
  });
}

async function reader(): Promise<(path: string) => Promise<string> | string> {
  if (import.meta.url.endsWith(".ts")) {
    const { bundlePage } = await import("./page-bundle.ts");
    const bundle = await bundlePage();
    return (path) => bundle.get(path) ?? "";
  }
  const built = new URL("./page/", import.meta.url);
  return (path) => readFile(new URL(path, built), "utf8");
}
