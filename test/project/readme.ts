import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./child.ts";

export const README = join(ROOT, "README.md");

export function readReadme(): string {
  return readFileSync(README, "utf8");
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
