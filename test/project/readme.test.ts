import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { agentMachine, EVENT_TYPES, toMermaid } from "rubato/machines";
import { SLASH_HELP } from "../../runtime/cli/slash.ts";
import { node, ROOT, source } from "./child.ts";
import { codeBlocks, PAGES, README, readPages, readReadme, section } from "./readme.ts";

// What the README says is held to what is there.

describe("the README", () => {
  it("draws the statechart that is (README_UPDATE=1 draws it anew)", () => {
    const drawn = toMermaid(agentMachine);
    if (process.env["README_UPDATE"] === "1") {
      const block = `\`\`\`mermaid\n${drawn}\`\`\``;
      writeFileSync(
        README,
        readReadme().replace(/```mermaid\n[\s\S]*?```/, () => block),
      );
    }
    expect(codeBlocks(readReadme(), "mermaid")).toEqual([drawn]);
  });

  it("lists every event, in the order of the vocabulary", () => {
    const cells = [...section(readReadme(), "Events").matchAll(/^\| (`.*?) +\|/gm)].map(([, cell = ""]) => cell);
    const listed = cells.flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map(([, name]) => name));
    expect(listed).toEqual(EVENT_TYPES);
  });

  it("leads to every page of its kind, and all their links lead to files", () => {
    const found = ["machines", "runtime", "tools"].flatMap((folder) =>
      readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
        .filter((path) => basename(path) === "README.md")
        .map((path) => join(ROOT, folder, path)),
    );
    expect([...PAGES].sort()).toEqual([README, ...found].sort());
    for (const page of PAGES) {
      const links = [...readFileSync(page, "utf8").matchAll(/\]\((?!https?:|#)([^)]+)\)/g)].map(
        ([, link = ""]) => link,
      );
      expect(
        links.filter((link) => !existsSync(join(dirname(page), link))),
        page,
      ).toEqual([]);
    }
  });

  it("names only npm scripts that exist", () => {
    const described: unknown = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    const scripts = isRecord(described) && isRecord(described["scripts"]) ? Object.keys(described["scripts"]) : [];
    const named = [...readPages().matchAll(/npm (?:run )?([a-z:]+)/g)].map(([, name = ""]) => name);
    expect(named).toContain("start");
    expect(named.filter((name) => name !== "ci" && !scripts.includes(name))).toEqual([]);
  });

  it("names the slash commands that the chat's own help names", () => {
    const names = (text: string): string[] => [...new Set(text.match(/(?<=^|[\s`])\/[a-z]+/gm))].sort();
    const named = names(section(readPages(), "The chat"));
    expect(named.length).toBeGreaterThan(3);
    expect(named).toEqual([...new Set([...names(SLASH_HELP), "/help"])].sort());
  });
});

describe("the README's code", () => {
  let folder = "";

  beforeAll(() => {
    // Inside the tree, where the package is found by its own name. A folder with a dot is nobody's source.
    folder = mkdtempSync(join(ROOT, "test/project/.tmp-"));
  });

  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it("compiles with the repository's own options", async () => {
    const snippets = codeBlocks(readPages(), "ts");
    expect(snippets.length).toBeGreaterThan(1);
    for (const [index, code] of snippets.entries()) writeFileSync(join(folder, `snippet-${index}.ts`), code);
    const pages = codeBlocks(readPages(), "tsx");
    expect(pages.length).toBeGreaterThan(0);
    for (const [index, code] of pages.entries()) writeFileSync(join(folder, `page-${index}.tsx`), code);
    const config = {
      extends: join(ROOT, "tsconfig.json"),
      compilerOptions: { jsx: "react-jsx" },
      include: ["*.ts", "*.tsx"],
    };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
    const { code, out } = await node([join(ROOT, "node_modules/typescript/bin/tsc"), "-p", folder]);
    expect({ code, out }).toEqual({ code: 0, out: "" });
  });

  it("begins with a sample of 15 lines that does what it says, offline", async () => {
    const [sample = ""] = codeBlocks(readPages(), "ts");
    const [, promised = "nothing"] = /\/\/ (done: .*)$/m.exec(sample) ?? [];
    expect(sample.split("\n").filter((line) => line !== "").length).toBeLessThanOrEqual(15);

    writeFileSync(join(folder, "sample.ts"), sample);
    const ended = await source(join(folder, "sample.ts"));
    expect(ended).toMatchObject({ code: 0, err: "" });
    expect(ended.out.trimEnd().split("\n").at(-1)).toBe(promised);
  });

  it("goes on with a run of another agent, replays it and forks it, as the sample of logs says", async () => {
    const sample = codeBlocks(readPages(), "ts").find((code) => code.includes('".rubato/runs"')) ?? "";
    writeFileSync(join(folder, "logs.ts"), sample.replaceAll(".rubato/runs", join(folder, "runs")));
    const ended = await source(join(folder, "logs.ts"));
    expect(ended).toMatchObject({ code: 0, err: "" });
    expect(ended.out).toMatch(/^1 idle$/m);
    expect(ended.out.trimEnd().split("\n").at(-1)).toMatch(/^3 \{ ok: true, events: \d+, seq: \d+ \}$/);
  });

  it("P27 tells subscribers and batches everything, as the sample of delivery says", async () => {
    const sample = codeBlocks(readPages(), "ts").find((code) => code.includes("run.batches")) ?? "";
    const counted = sample.replace("console.log(batch.length)", "console.log('batch', ...batch.map(({ seq }) => seq))");
    writeFileSync(join(folder, "delivery.ts"), counted);
    const ended = await source(join(folder, "delivery.ts"));
    expect(ended).toMatchObject({ code: 0, err: "" });
    const lines = ended.out.trimEnd().split("\n");
    const batches = lines.filter((line) => line.startsWith("batch")).flatMap((line) => line.split(" ").slice(1));
    expect(batches.map(Number)).toEqual(batches.map((_, index) => index + 1));
    expect(batches.length).toBeGreaterThan(8);
    expect(lines.filter((line) => /^\d+$/.test(line)).length).toBeGreaterThan(3);
  });

  it("counts, logs and traces a run, as the sample of traces says", async () => {
    const sample = codeBlocks(readPages(), "ts").find((code) => code.includes("traceAgent")) ?? "";
    writeFileSync(join(folder, "traces.ts"), sample);
    const ended = await source(join(folder, "traces.ts"));
    expect(ended).toMatchObject({ code: 0, err: "" });
    expect(ended.out).toMatch(/^\d+ events, 1 done, first token after [\d.]+ ms$/m);
    expect(ended.out).toContain('"invoke_agent clerk"'.replaceAll('"', "'"));
    expect(ended.out).toMatch(/runId: 'sum'/);
    expect(ended.out).toMatch(/^\} done$/m);
  });

  it("serves an agent, and a run of it streams to its rest, as the sample of the server says", async () => {
    const sample =
      codeBlocks(readPages(), "ts").find(
        (code) => code.includes("rubato/server") && code.includes("text/event-stream"),
      ) ?? "";
    writeFileSync(join(folder, "server.ts"), sample);
    const ended = await source(join(folder, "server.ts"));
    expect(ended).toMatchObject({ code: 0, err: "" });
    expect(ended.out).toContain("id: 1\nevent: run_start\ndata: {");
    expect(ended.out).toContain("6*7 = 42");
    expect(ended.out.trimEnd().endsWith(": end rest")).toBe(true);
  });

  it("follows a run from a client, as the sample of the client says", async () => {
    const sample = codeBlocks(readPages(), "ts").find((code) => code.includes("rubato/client")) ?? "";
    // At the pace of the sample its text takes a quarter of a minute.
    writeFileSync(join(folder, "client.ts"), sample.replace("offlineModel()", "offlineModel({ paceMs: 1 })"));
    const ended = await source(join(folder, "client.ts"));
    expect(ended).toMatchObject({ code: 0, err: "" });
    const lines = ended.out.trimEnd().split("\n");
    expect(lines.filter((line) => line.endsWith(" open")).length).toBeGreaterThan(3);
    expect(ended.out).toMatch(/done \{ accepted: true, seq: \d+, id: 'in_/);
    expect(lines.at(-1)).toBe("done");
  });
});

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
