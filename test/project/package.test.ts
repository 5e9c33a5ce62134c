import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { ROOT } from "./child.ts";

// What others rely on by name: the entries of the package, its program, its scripts.

const entrySchema = z.strictObject({ source: z.string(), types: z.string(), default: z.string() });
const packageSchema = z.looseObject({
  name: z.string(),
  type: z.string(),
  bin: z.record(z.string(), z.string()),
  engines: z.record(z.string(), z.string()),
  exports: z.record(z.string(), z.union([entrySchema, z.literal("./package.json")])),
  files: z.array(z.string()),
  scripts: z.record(z.string(), z.string()),
  dependencies: z.record(z.string(), z.string()),
});
const described = packageSchema.parse(JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")));

/** The source that the compiler makes a file of dist/ from. */
function sourceOf(built: string): string {
  return built.replace(/^\.\/dist\//, "./").replace(/(\.d\.ts|\.js)$/, ".ts");
}

const entries = Object.entries(described.exports).flatMap(([name, entry]) =>
  entry === "./package.json" ? [] : [{ name, entry }],
);

describe("the package", () => {
  it("has these entries, and no other", () => {
    expect(Object.keys(described.exports).sort()).toEqual(
      [".", "./machines", "./tools", "./server", "./client", "./react", "./inspect", "./package.json"].sort(),
    );
  });

  it.each(entries)("finds $name from its source, and from what is built of it", ({ entry }) => {
    expect(existsSync(join(ROOT, entry.source)), entry.source).toBe(true);
    expect(entry.types).toMatch(/^\.\/dist\/.*\.d\.ts$/);
    expect(sourceOf(entry.types)).toBe(entry.source);
    expect(entry.default).toMatch(/^\.\/dist\/.*\.js$/);
    expect(sourceOf(entry.default)).toBe(entry.source);
    // The first condition that holds is taken: `default` always does.
    expect(Object.keys(entry)).toEqual(["source", "types", "default"]);
  });

  it.each(entries)("ships $name, its source included", ({ entry }) => {
    for (const file of Object.values(entry)) {
      expect(
        described.files.some((folder) => file.startsWith(`./${folder}/`)),
        file,
      ).toBe(true);
    }
  });

  it("is a module for Node 20.19 and later, with the program rubato", () => {
    expect(described.name).toBe("rubato");
    expect(described.type).toBe("module");
    expect(described.engines).toEqual({ node: ">=20.19" });
    expect(described.bin).toEqual({ rubato: "./dist/runtime/cli/main.js" });
    const program = readFileSync(join(ROOT, sourceOf("./dist/runtime/cli/main.js")), "utf8");
    expect(program.split("\n", 1)).toEqual(["#!/usr/bin/env node"]);
  });

  it.each(["start", "demo", "test", "test:full", "check", "build", "bench"])("has the script %s", (name) => {
    expect(described.scripts[name]).toMatch(/\S/);
  });

  it("checks format, rules, types and tests, and stops at the first that fails", () => {
    expect(described.scripts["check"]?.split(" && ")).toEqual([
      "oxfmt --check .",
      "oxlint",
      "npm run --silent types",
      "vitest run",
    ]);
  });

  it("runs only files that exist", () => {
    const named = Object.values(described.scripts).flatMap((script) => script.match(/[\w./-]+\.(?:ts|js)\b/g) ?? []);
    expect(named).toContain("runtime/cli/main.ts");
    for (const file of named) expect(existsSync(join(ROOT, sourceOf(`./${file}`))), file).toBe(true);
  });

  it("holds the statechart library to one version", () => {
    expect(described.dependencies["xstate"]).toMatch(/^\d+\.\d+\.\d+$/);
  });
});
