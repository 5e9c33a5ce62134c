import { execFileSync } from "node:child_process";
import { mkdir, symlink } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { listFiles, readFile, searchText } from "../../tools/index.ts";
import { fakeContext, makeSandbox, type Sandbox } from "./fixture.ts";

let box: Sandbox;
const socket = createServer();

beforeAll(async () => {
  box = await makeSandbox();
  await box.write("root/inside.txt", "needle inside\n");
  await box.write("root/folder/deep.txt", "needle deep\n");
  await box.write("root-evil/secret.txt", "needle secret\n");
  await box.write("outside/secret.txt", "needle secret\n");
  await symlink("../outside/secret.txt", join(box.root, "link-to-file"));
  await symlink("../outside", join(box.root, "link-to-folder"));
  await symlink("link-to-folder", join(box.root, "link-to-link"));
  await symlink("/proc/self/environ", join(box.root, "link-to-proc"));
  await symlink("loop", join(box.root, "loop"));
  await symlink("folder", join(box.root, "link-inside"));
  await symlink(".", join(box.root, "folder", "circle"));
  await symlink("root", join(box.outer, "root-link"));
  execFileSync("mkfifo", [join(box.root, "pipe")]);
  await mkdir(join(box.root, "sockets"));
  await new Promise<void>((resolve) => socket.listen(join(box.root, "sockets", "s"), resolve));
});

afterAll(async () => {
  await new Promise((resolve) => socket.close(resolve));
  await box.remove();
});

/** What each file tool says to a path: its error, or its result as text. */
async function answers(path: string, root = box.root): Promise<string[]> {
  const ctx = fakeContext();
  const calls = [
    async () => listFiles({ root }).execute({ path, recursive: true }, ctx),
    async () => readFile({ root }).execute({ path, from: 1 }, ctx),
    async () => searchText({ root }).execute({ query: "needle", path, ignoreCase: false }, ctx),
  ];
  return Promise.all(
    calls.map((call) =>
      call().then(JSON.stringify, (error: unknown) => (error instanceof Error ? error.message : "?")),
    ),
  );
}

describe("a path that leaves the root is refused with one sentence, by every file tool", () => {
  const attacks: [string, () => string][] = [
    ["..", () => ".."],
    ["a file above", () => "../outside/secret.txt"],
    [".. behind a folder", () => "folder/../../outside/secret.txt"],
    ["a sibling with the root's name as prefix", () => "../root-evil/secret.txt"],
    ["the same sibling, absolute", () => `${box.root}-evil/secret.txt`],
    ["an absolute path", () => "/etc/passwd"],
    ["/proc", () => "/proc/self/environ"],
    ["a link to a file outside", () => "link-to-file"],
    ["a link to a folder outside", () => "link-to-folder"],
    ["a file behind a link to a folder outside", () => "link-to-folder/secret.txt"],
    ["a link to a link outside", () => "link-to-link/secret.txt"],
    ["a link to /proc", () => "link-to-proc"],
    ["a missing file behind a link (does not tell what exists there)", () => "link-to-folder/missing/file.txt"],
  ];
  test.each(attacks)("%s", async (_name, path) => {
    for (const answer of await answers(path())) {
      expect(answer).toBe(`"${path()}" is outside of the folder that file tools may use. Use a path inside it.`);
    }
  });

  test("a NUL byte", async () => {
    for (const answer of await answers("inside.txt\0.png")) expect(answer).toMatch(/^The path contains a NUL byte\./);
  });

  test.each(["/proc/self/environ", "proc/self/environ", "/dev/zero", "/sys/kernel"])(
    "%s, even where the root is /",
    async (path) => {
      for (const answer of await answers(path, "/")) expect(answer).toContain("is outside of the folder");
    },
  );
});

test("pipes and sockets are refused without being opened", async () => {
  for (const path of ["pipe", "sockets/s"]) {
    const [list, read, search] = await answers(path);
    expect(list).toContain("is not a folder");
    expect(read).toContain("is a pipe, socket or device");
    expect(search).toContain("is a pipe, socket or device");
  }
});

test("a walk meets pipes, sockets, circles and links out of the root, and shows none of them", async () => {
  const [list, , search] = await answers(".");
  expect(JSON.parse(list ?? "")).toMatchObject({ files: ["folder/deep.txt", "inside.txt"], count: 2 });
  expect(JSON.parse(search ?? "")).toMatchObject({ count: 2, files: 2 });
  expect(search).not.toContain("secret");
});

test("links that stay inside are followed when they are named, and names are those of the real file", async () => {
  const [list] = await answers("link-inside");
  expect(JSON.parse(list ?? "")).toMatchObject({ files: ["folder/deep.txt"] });
  const [, read] = await answers("link-inside/deep.txt");
  expect(JSON.parse(read ?? "")).toMatchObject({ path: "folder/deep.txt", text: "needle deep\n" });
});

test("the root may itself be reached through a link, by relative and absolute paths", async () => {
  const viaLink = join(box.outer, "root-link");
  for (const path of ["inside.txt", join(viaLink, "inside.txt"), join(box.root, "inside.txt")]) {
    const [, read] = await answers(path, viaLink);
    expect(JSON.parse(read ?? "")).toMatchObject({ path: "inside.txt", text: "needle inside\n" });
  }
});

test("a link to itself and a missing path say so, and no error names an absolute path", async () => {
  for (const answer of await answers("loop")) expect(answer).toContain("is a link that leads to itself");
  for (const answer of await answers("missing.txt")) {
    expect(answer).toBe('"missing.txt" does not exist. Use list_files to see what is there.');
  }
  for (const answer of await answers("missing.txt", join(box.outer, "no-root"))) {
    expect(answer).toContain("The root folder of the file tools cannot be read");
    expect(answer).not.toContain(box.outer);
  }
});
