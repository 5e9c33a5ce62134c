import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { ROOT } from "./child.ts";

/** Every import that is left when the types are gone, from an entry point on. */
function walk(entry: string): { readonly files: readonly string[]; readonly packages: readonly string[] } {
  const files = new Set<string>();
  const packages = new Set<string>();
  const visit = (file: string): void => {
    if (files.has(file)) return;
    files.add(file);
    const code = readFileSync(file, "utf8");
    for (const [, isType, from = ""] of code.matchAll(/^(?:import|export)\s+(type\s)?[^"';]*?from\s+"([^"]+)"/gm)) {
      if (isType !== undefined) continue;
      if (from.startsWith(".")) visit(join(dirname(file), from));
      else packages.add(from);
    }
    for (const [, from = ""] of code.matchAll(/^import\s+"([^"]+)"|\bimport\("([^"]+)"\)/gm)) packages.add(from);
  };
  visit(join(ROOT, entry));
  return { files: [...files], packages: [...packages].sort() };
}

describe("what a page loads", () => {
  it.each([
    ["runtime/client/index.ts", ["eventsource-parser", "xstate", "zod"]],
    ["runtime/react/index.ts", ["react"]],
  ])("%s needs nothing of Node's, nor the server", (entry, needed) => {
    const { files, packages } = walk(entry);
    expect(packages.filter((name) => !["eventsource-parser", "react", "xstate", "zod"].includes(name))).toEqual([]);
    expect(packages).toEqual(expect.arrayContaining(needed));
    expect(files.length).toBeGreaterThan(8);
    const server = files.map((file) => file.slice(ROOT.length)).filter((file) => file.startsWith("runtime/server/"));
    expect(server.filter((file) => file !== "runtime/server/protocol.ts")).toEqual([]);
    for (const file of files) {
      const code = readFileSync(file, "utf8").replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
      expect(code, file).not.toMatch(/\b(?:Buffer|process|require|__dirname|setImmediate)\b[.(]/);
    }
  });
});
