import { execFileSync } from "node:child_process";
import { chmod, link, mkdir, open, readdir, readFile, stat, symlink } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { writeFile } from "../../tools/index.ts";
import { fakeContext, makeSandbox, type Sandbox } from "./fixture.ts";

let box: Sandbox;
beforeEach(async () => {
  box = await makeSandbox();
});
afterEach(() => box.remove());

interface Input {
  readonly content?: string;
  readonly overwrite?: boolean;
  readonly ctx?: ReturnType<typeof fakeContext>;
  readonly root?: string;
}

const put = async (path: string, { content = "new", overwrite = false, ctx = fakeContext(), root }: Input = {}) =>
  writeFile({ root: root ?? box.root }).execute({ path, content, overwrite }, ctx);

/** Everything below the sandbox, with the content of its files. */
async function everything(): Promise<Record<string, string>> {
  const entries = await readdir(box.outer, { recursive: true, withFileTypes: true });
  const found: [string, string][] = [];
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(box.outer.length + 1);
    if (entry.isFile()) found.push([name, await readFile(path, "utf8")]);
    else found.push([name, entry.isDirectory() ? "(folder)" : "(other)"]);
  }
  return Object.fromEntries(found);
}

describe("writes a file", () => {
  test("a new one, with the folders that are missing", async () => {
    expect(await put("a.txt", { content: "drei ü 三\n" })).toEqual({ path: "a.txt", bytes: 12, created: true });
    expect(await put("x/y/./z/../b.txt", { content: "" })).toEqual({ path: "x/y/b.txt", bytes: 0, created: true });
    expect(await put(join(box.root, "x/c.txt"))).toMatchObject({ path: "x/c.txt" });
    expect(await everything()).toEqual({
      root: "(folder)",
      "root/a.txt": "drei ü 三\n",
      "root/x": "(folder)",
      "root/x/c.txt": "new",
      "root/x/y": "(folder)",
      "root/x/y/b.txt": "",
    });
  });

  test("an existing one only when that was asked for, and its mode stays", async () => {
    await box.write("root/run.sh", "old");
    await chmod(join(box.root, "run.sh"), 0o750);
    await expect(put("run.sh")).rejects.toThrow('"run.sh" exists already. Read it, then use overwrite: true');
    expect(await readFile(join(box.root, "run.sh"), "utf8")).toBe("old");
    expect(await put("run.sh", { overwrite: true })).toEqual({ path: "run.sh", bytes: 3, created: false });
    expect((await stat(join(box.root, "run.sh"))).mode & 0o777).toBe(0o750);
    expect(await put("fresh.txt", { overwrite: true })).toMatchObject({ created: true });
    expect((await stat(join(box.root, "fresh.txt"))).mode & 0o777).toBe(0o666 & ~process.umask());
    expect(await everything()).toEqual({ root: "(folder)", "root/fresh.txt": "new", "root/run.sh": "new" });
  });

  test("at most 1 MiB, counted in bytes, before anybody is asked", async () => {
    const tool = writeFile({ root: box.root });
    expect(await tool.prepare({ path: "a", content: "x".repeat(1024 * 1024) })).toMatchObject({ ok: true });
    expect(await tool.prepare({ path: "a", content: `x${"ü".repeat(512 * 1024)}` })).toEqual({
      ok: false,
      message: "Invalid arguments: content: At most 1 MiB: write less at a time",
    });
  });
});

describe("a path that leaves the root is refused with one sentence, and nothing is written anywhere", () => {
  beforeEach(async () => {
    await box.write("root/folder/deep.txt", "deep");
    await box.write("root-evil/secret.txt", "secret");
    await symlink("../root-evil/secret.txt", join(box.root, "link-to-file"));
    await symlink("../root-evil", join(box.root, "link-to-folder"));
    await symlink("link-to-folder", join(box.root, "link-to-link"));
    await symlink("../root-evil/missing", join(box.root, "link-to-missing"));
    await symlink("nowhere", join(box.root, "link-to-nothing"));
    await symlink("/proc/self", join(box.root, "link-to-proc"));
    await symlink("loop", join(box.root, "loop"));
    await symlink("folder", join(box.root, "link-inside"));
    execFileSync("mkfifo", [join(box.root, "pipe")]);
  });

  const outside = "is outside of the folder that file tools may use. Use a path inside it.";
  const attacks: [string, () => string, string][] = [
    ["a file above", () => "../evil.txt", outside],
    ["a new folder above", () => "../evil/evil.txt", outside],
    [".. behind folders that do not exist", () => "no/such/../../../evil.txt", outside],
    ["a sibling with the root's name as prefix", () => "../root-evil/new.txt", outside],
    ["the same sibling, absolute", () => `${box.root}-evil/new.txt`, outside],
    ["a sibling that does not exist yet", () => `${box.root}2/new.txt`, outside],
    ["an absolute path", () => "/etc/rubato-evil", outside],
    ["/proc", () => "/proc/self/comm", outside],
    ["a link to a file outside", () => "link-to-file", outside],
    ["an existing file behind a link", () => "link-to-folder/secret.txt", outside],
    ["a new file behind a link", () => "link-to-folder/new.txt", outside],
    ["a new folder behind a link", () => "link-to-folder/a/b/new.txt", outside],
    ["a new file behind two links", () => "link-to-link/new.txt", outside],
    ["a link to /proc", () => "link-to-proc/comm", outside],
    ["a link to a file that is missing outside", () => "link-to-missing", "goes through a link to nothing."],
    ["a folder that is missing outside", () => "link-to-missing/new.txt", "goes through a link to nothing."],
    ["a link to nothing inside", () => "link-to-nothing/new.txt", "goes through a link to nothing."],
    ["a link to itself", () => "loop", "is a link that leads to itself"],
    ["behind a link to itself", () => "loop/new.txt", "is a link that leads to itself"],
    ["a pipe", () => "pipe", "is a pipe, socket or device"],
    ["behind a pipe", () => "pipe/new.txt", "goes through a file."],
    ["a folder", () => "folder", "is a folder. Name a file."],
    ["the root", () => ".", "names a folder."],
    ["a folder that does not exist", () => "new/", "names a folder."],
    ["the same, with a dot", () => "new/.", "names a folder."],
    ["behind a file", () => "folder/deep.txt/new.txt", "goes through a file."],
    ["a name too long", () => `new/${"x".repeat(300)}`, "has a name that is too long"],
    ["a NUL byte", () => "a.txt\0.png", "The path contains a NUL byte."],
    ["a hook of git", () => ".git/hooks/pre-commit", "lies in .git, where nothing is written."],
    ["the same in other letters, deeper", () => "folder/.GIT/config", "lies in .GIT, where nothing is written."],
    ["the runs' own logs", () => ".rubato/runs/x/1.jsonl", "lies in .rubato, where nothing is written."],
  ];
  test.each(attacks)("%s", async (_name, path, sentence) => {
    const before = await everything();
    for (const overwrite of [false, true]) {
      await expect(put(path(), { overwrite })).rejects.toThrow(sentence);
      await expect(put(path(), { overwrite })).rejects.not.toThrow(`${box.outer}/root/`);
    }
    expect(await everything()).toEqual(before);
  });

  test.each(["/proc/self/comm", "proc/self/comm", "/dev/null", "/dev/shm/rubato-evil", "/sys/evil"])(
    "%s, even where the root is /",
    async (path) => {
      await expect(put(path, { root: "/", overwrite: true })).rejects.toThrow(outside);
    },
  );

  test("links that stay inside are followed, and the name is that of the real file", async () => {
    expect(await put("link-inside/deep.txt", { overwrite: true })).toMatchObject({ path: "folder/deep.txt" });
    expect(await put("link-inside/a/new.txt")).toMatchObject({ path: "folder/a/new.txt" });
    expect(await put(".gitignore")).toMatchObject({ path: ".gitignore" });
  });

  test("a hard link to a file outside keeps that file as it was", async () => {
    await link(join(box.outer, "root-evil/secret.txt"), join(box.root, "hard"));
    await put("hard", { overwrite: true });
    expect(await everything()).toMatchObject({ "root/hard": "new", "root-evil/secret.txt": "secret" });
  });

  test("a read-only file stays as it is, also for one who might write it", async () => {
    await chmod(join(box.root, "folder/deep.txt"), 0o444);
    await expect(put("folder/deep.txt", { overwrite: true })).rejects.toThrow('"folder/deep.txt" is read-only.');
    expect(await everything()).toMatchObject({ "root/folder/deep.txt": "deep" });
  });
});

describe("all or nothing", () => {
  /** A call at whose n-th look at its signal something happens. */
  function contextAt(look: number, happens: () => void) {
    const ctx = fakeContext();
    const looks = { count: 0 };
    ctx.signal.throwIfAborted = () => {
      if (++looks.count === look) happens();
    };
    return { ctx, looks };
  }

  test("an abort at every look leaves everything as it was", async () => {
    await box.write("root/old.txt", "old");
    const before = await everything();
    const { ctx, looks } = contextAt(0, () => {});
    await put("counted/x.txt", { ctx });
    expect(looks.count).toBe(2);
    execFileSync("rm", ["-r", join(box.root, "counted")]);
    for (let look = 1; look <= looks.count; look++) {
      for (const [path, overwrite] of [
        ["old.txt", true],
        ["a/b/c/new.txt", false],
      ] as const) {
        const stop = contextAt(look, () => {
          throw new Error("enough");
        });
        await expect(put(path, { overwrite, ctx: stop.ctx })).rejects.toThrow("enough");
        expect(await everything()).toEqual(before);
      }
    }
  });

  test("what somebody else puts there meanwhile is not replaced without being asked for", async () => {
    const { ctx } = contextAt(2, () => {
      execFileSync("sh", ["-c", `echo theirs > ${join(box.root, "a/new.txt")}`]);
    });
    await expect(put("a/new.txt", { ctx })).rejects.toThrow('"a/new.txt" exists already.');
    expect(await everything()).toEqual({ root: "(folder)", "root/a": "(folder)", "root/a/new.txt": "theirs\n" });
  });

  test("a move that fails leaves nothing behind", async () => {
    const { ctx } = contextAt(2, () => {
      execFileSync("mkdir", [join(box.root, "new.txt")]);
    });
    await expect(put("new.txt", { ctx, overwrite: true })).rejects.toThrow('"new.txt" was not written (EISDIR).');
    expect(await everything()).toEqual({ root: "(folder)", "root/new.txt": "(folder)" });
  });

  test("a folder that became a link out of the root is noticed before anything is written", async () => {
    await mkdir(join(box.root, "a"));
    await mkdir(join(box.outer, "elsewhere"));
    const { ctx } = contextAt(1, () => {
      execFileSync("sh", ["-c", `rmdir ${join(box.root, "a")}; ln -s ../elsewhere ${join(box.root, "a")}`]);
    });
    await expect(put("a/new.txt", { ctx })).rejects.toThrow('"a/new.txt" changed meanwhile. Try again.');
    expect(await everything()).toEqual({ elsewhere: "(folder)", root: "(folder)", "root/a": "(other)" });
  });

  test("who reads the file meanwhile reads all of the old one or all of the new one", async () => {
    const texts = ["a", "b"].map((letter) => letter.repeat(1024 * 1024));
    await box.write("root/x", texts[0] ?? "");
    const old = await open(join(box.root, "x"));
    onTestFinished(() => old.close());
    let writing = true;
    const seen = new Set<string>();
    const reading = (async () => {
      while (writing) seen.add(await readFile(join(box.root, "x"), "utf8"));
    })();
    for (let round = 0; round < 10; round++) await put("x", { content: texts[(round + 1) % 2] ?? "", overwrite: true });
    writing = false;
    await reading;
    expect([...seen].every((text) => texts.includes(text))).toBe(true);
    expect(await old.readFile("utf8")).toBe(texts[0]);
  });

  test("two calls that make the same new folders both succeed", async () => {
    await Promise.all(Array.from({ length: 8 }, (_, at) => put(`p/q/r/${at}.txt`)));
    expect(Object.keys(await everything())).toHaveLength(4 + 8);
  });

  test("the signal of a call that was stopped before is looked at", async () => {
    await expect(put("a/b", { ctx: fakeContext(AbortSignal.abort(new Error("enough"))) })).rejects.toThrow("enough");
    expect(await everything()).toEqual({ root: "(folder)" });
  });
});
