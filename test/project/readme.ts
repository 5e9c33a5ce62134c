import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./child.ts";

export const README = join(ROOT, "README.md");

/** The first page, and the pages that it leads to, in their order. */
export const PAGES: readonly string[] = [
  README,
  ...[...readReadme().matchAll(/^\| \[[^\]]+\]\(([\w/]+README\.md)\)/gm)].map(([, path = ""]) => join(ROOT, path)),
];

export function readReadme(): string {
  return readFileSync(README, "utf8");
}

/** All of them, one behind the other. */
export function readPages(): string {
  return PAGES.map((page) => readFileSync(page, "utf8")).join("\n");
}

/** The fenced blocks of a language, in order. */
export function codeBlocks(markdown: string, language: string): string[] {
  const fence = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "gm");
  return [...markdown.matchAll(fence)].map(([, code = ""]) => code);
}

/** The text below a heading of the second level. */
export function section(markdown: string, heading: string): string {
  const [, text = ""] = new RegExp(`^## ${heading}\\n([\\s\\S]*?)(?=^## |$(?![\\s\\S]))`, "m").exec(markdown) ?? [];
  return text;
}
