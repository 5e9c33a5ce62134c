import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { listFiles, readFile, searchText } from "../../tools/index.ts";
import { fakeContext, makeSandbox, type Sandbox } from "./fixture.ts";

let box: Sandbox;
beforeEach(async () => {
  box = await makeSandbox();
});
afterEach(() => box.remove());

describe("list_files", () => {
  const list = async (input: { path?: string; pattern?: string; recursive?: boolean }) =>
    listFiles({ root: box.root }).execute({ path: ".", ...input }, fakeContext());

  beforeEach(async () => {
    for (const name of [
      "b.ts",
      "a.md",
      "src/c.ts",
      "src/deep/d.ts",
      "src/deep/e.tsx",
      "node_modules/x.ts",
      ".git/y.ts",
    ]) {
      await box.write(`root/${name}`, "x");
    }
  });

  test("lists one folder, sorted, with its folders", async () => {
    expect(await list({})).toEqual({ files: ["a.md", "b.ts"], count: 2, folders: [".git", "node_modules", "src"] });
    expect(await list({ path: "src/" })).toEqual({ files: ["src/c.ts"], count: 1, folders: ["src/deep"] });
  });

  test("skips node_modules and .git below, and lists them when they are named", async () => {
    expect(await list({ recursive: true })).toMatchObject({ count: 5 });
    expect(await list({ path: "node_modules" })).toMatchObject({ files: ["node_modules/x.ts"] });
  });

  test.each([
    ["*.ts", undefined, ["b.ts"]],
    ["*.ts", true, ["b.ts", "src/c.ts", "src/deep/d.ts"]],
    ["**/*.ts", undefined, ["b.ts", "src/c.ts", "src/deep/d.ts"]],
    ["src/*.ts", undefined, ["src/c.ts"]],
    ["src/**/?.ts*", undefined, ["src/c.ts", "src/deep/d.ts", "src/deep/e.tsx"]],
    ["**", undefined, ["a.md", "b.ts", "src/c.ts", "src/deep/d.ts", "src/deep/e.tsx"]],
    ["*.{md,tsx}", true, ["a.md", "src/deep/e.tsx"]],
    ["*.ts", false, ["b.ts"]],
    ["[b].ts", undefined, []],
  ])("pattern %s with recursive %s", async (pattern, recursive, files) => {
    const input = recursive === undefined ? { pattern } : { pattern, recursive };
    expect(await list(input)).toEqual({ files, count: files.length });
  });

  test("names at most 1,000 files and counts all of them", async () => {
    await Promise.all(Array.from({ length: 1100 }, (_, at) => box.write(`root/many/${at}.txt`, "")));
    expect(await list({ path: "many" })).toMatchObject({ count: 1100, truncated: true, files: { length: 1000 } });
  });

  test("a pattern that would explode a regular expression, or unfold without end, costs nothing", async () => {
    await box.write(`root/${"a".repeat(200)}`, "");
    expect(await list({ pattern: `${"*a".repeat(90)}*b` })).toMatchObject({ count: 0 });
    await expect(list({ pattern: "{a,b}".repeat(30) })).rejects.toThrow("unfolds to more than 32 alternatives");
  });

  test("stops when its call is aborted", async () => {
    const ctx = fakeContext(AbortSignal.abort(new Error("stopped by the test")));
    await expect(listFiles({ root: box.root }).execute({ path: "." }, ctx)).rejects.toThrow("stopped by the test");
    await expect(
      searchText({ root: box.root }).execute({ query: "x", path: ".", ignoreCase: false }, ctx),
    ).rejects.toThrow("stopped by the test");
    await expect(readFile({ root: box.root }).execute({ path: "b.ts", from: 1 }, ctx)).rejects.toThrow(
      "stopped by the test",
    );
  });

  test("a file is not a folder", async () => {
    await expect(list({ path: "b.ts" })).rejects.toThrow('"b.ts" is not a folder. Use read_file for a file.');
  });
});

describe("read_file", () => {
  const read = async (path: string, from = 1, lines?: number) =>
    readFile({ root: box.root }).execute(lines === undefined ? { path, from } : { path, from, lines }, fakeContext());

  test("reads a file, and a range of its lines", async () => {
    await box.write("root/a.txt", "one\ntwo\r\ndrei ü 三\nfour");
    expect(await read("a.txt")).toEqual({
      path: "a.txt",
      text: "one\ntwo\r\ndrei ü 三\nfour",
      from: 1,
      lines: 4,
      totalLines: 4,
      totalBytes: 25,
    });
    expect(await read("a.txt", 2, 2)).toMatchObject({ text: "two\r\ndrei ü 三\n", from: 2, lines: 2, totalLines: 4 });
    expect(await read("a.txt", 4, 9)).toMatchObject({ text: "four", lines: 1 });
    await expect(read("a.txt", 5)).rejects.toThrow('"a.txt" has only 4 lines.');
  });

  test("an empty file is an empty text", async () => {
    await box.write("root/empty", "");
    expect(await read("empty")).toMatchObject({ text: "", lines: 0, totalLines: 0 });
  });

  test("a large file comes in pieces that fit together", async () => {
    const whole = Array.from({ length: 9000 }, (_, at) => `line ${at + 1} 三\n`).join("");
    await box.write("root/large.txt", whole);
    let text = "";
    let from: number | undefined = 1;
    let pieces = 0;
    while (from !== undefined) {
      const piece: unknown = await read("large.txt", from);
      expect(piece).toMatchObject({ totalLines: 9000, text: expect.any(String) });
      if (typeof piece !== "object" || piece === null || !("text" in piece)) throw new Error("no piece");
      expect(Buffer.byteLength(String(piece.text))).toBeLessThanOrEqual(64 * 1024);
      text += String(piece.text);
      from = "next" in piece ? Number(piece.next) : undefined;
      pieces++;
    }
    expect(text).toBe(whole);
    expect(pieces).toBe(2);
  });

  test("one endless line is cut between two characters", async () => {
    await box.write("root/line.txt", `x${"三".repeat(40_000)}`);
    const piece = await read("line.txt");
    expect(piece).toMatchObject({ truncated: true, lines: 1, next: 2, totalLines: 1 });
    expect(JSON.stringify(piece)).not.toContain("\uFFFD");
  });

  test.each([
    ["a NUL byte", new Uint8Array([104, 0, 105])],
    ["not UTF-8", new Uint8Array([0x63, 0x61, 0x66, 0xe9, 0x0a])],
    ["half a character at the end", new Uint8Array([0x61, 0xe4, 0xb8])],
  ])("refuses what is not text: %s", async (_name, bytes) => {
    await box.write("root/data.bin", bytes);
    await expect(read("data.bin")).rejects.toThrow('"data.bin" is not a UTF-8 text file');
  });

  test("refuses a folder", async () => {
    await box.write("root/folder/a", "");
    await expect(read("folder")).rejects.toThrow('"folder" is a folder. Use list_files');
  });
});

describe("search_text", () => {
  const search = async (input: { query: string; path?: string; pattern?: string; ignoreCase?: boolean }) =>
    searchText({ root: box.root }).execute({ path: ".", ignoreCase: false, ...input }, fakeContext());

  test("finds a literal text, by file and line", async () => {
    await box.write("root/src/b.ts", "no\n  const a.b = (1);\n");
    await box.write("root/a.md", "a.b\nA.B\naxb");
    await box.write("root/bin", new Uint8Array([0, 97, 46, 98]));
    expect(await search({ query: "a.b" })).toEqual({
      matches: [
        { file: "a.md", line: 1, text: "a.b" },
        { file: "src/b.ts", line: 2, text: "const a.b = (1);" },
      ],
      count: 2,
      files: 2,
    });
    expect(await search({ query: "a.b", ignoreCase: true })).toMatchObject({ count: 3 });
    expect(await search({ query: "a.b", pattern: "*.ts" })).toMatchObject({ count: 1, files: 1 });
    expect(await search({ query: "a.b", path: "src/b.ts" })).toMatchObject({
      matches: [{ file: "src/b.ts" }],
      count: 1,
    });
    expect(await search({ query: "a.b", path: "src" })).toMatchObject({ matches: [{ file: "src/b.ts" }], count: 1 });
    await expect(search({ query: "a.b", path: "bin" })).rejects.toThrow("is not a UTF-8 text file");
  });

  test("lists at most 200 lines, counts all, and shows a long line around what was found", async () => {
    await box.write("root/many.txt", "hit\n".repeat(250));
    expect(await search({ query: "hit" })).toMatchObject({ count: 250, truncated: true, matches: { length: 200 } });
    await box.write("root/many.txt", `${"😀".repeat(1001)}needle${"😀".repeat(1000)}`);
    const found = await search({ query: "needle" });
    expect(found).toMatchObject({ matches: [{ text: expect.stringMatching(/^(😀){59,60}needle(😀){56,57}$/u) }] });
  });

  test("a query of two lines is refused with a sentence", async () => {
    const prepared = await searchText({ root: box.root }).prepare({ query: "a\nb" });
    expect(prepared).toEqual({ ok: false, message: "Invalid arguments: query: Search for one line at a time" });
  });
});
