import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { rubato, start } from "./child.ts";

describe.concurrent("rubato with a task, as a process", () => {
  it("answers on stdout, tells what it does on stderr, and ends with 0", async () => {
    const { code, out, err } = await rubato(["list files in tools"]);
    expect(code).toBe(0);
    expect(out).toMatch(/standard\.ts[^\n]*\n$/);
    expect(err).toContain("offline model");
    expect(err).toContain('· list_files path: "tools"');
    expect(err).toMatch(/list_files → files: /);
    expect(out).not.toContain("list_files");
  });

  it("a call that waits for a person ends it with 3, and says how to answer", async () => {
    const folder = mkdtempSync(join(tmpdir(), "rubato-waiting-"));
    try {
      const log = ["--log", join(folder, "runs"), "--root", folder];
      const { code, out, err } = await rubato(["write 'hello' to notes.txt", ...log]);
      expect({ code, out }).toEqual({ code: 3, out: "" });
      expect(err).toMatch(
        /\? write_file \(call 1\.0\)\n {2}path: "notes\.txt"\n {2}content: "hello"\nrubato: to allow it: rubato .*approve run_\w+ 1\.0\n/,
      );
      // As it is told, the same log and the same folder included.
      const [, words = ""] = /to allow it: rubato (.* approve run_\w+ 1\.0)/.exec(err) ?? [];
      const answered = await rubato([...words.split(" "), "--args", '{"path":"other.txt","content":"bye"}']);
      expect(answered).toMatchObject({ code: 0, out: "I wrote other.txt, 3 bytes.\n" });
      expect(readFileSync(join(folder, "other.txt"), "utf8")).toBe("bye");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("SIGINT within an answer keeps it, says where it stopped, and ends with 130", async () => {
    const child = start(["write a long answer about tides"]);
    await child.until(/tides/);
    child.process.kill("SIGINT");
    const { code, out, err } = await child.ended;
    expect(code).toBe(130);
    expect(out).toMatch(/tides[\s\S]*\n$/);
    expect(err).toMatch(/interrupted, step 1, (mid-sentence|after a sentence), \d+ characters kept, /);
  });

  it("hostile text reaches neither stream as a control sequence", async () => {
    const hostile = 'search for "\u001b]52;c;ZXZpbA==\u0007\u009b31m\u202e"';
    const { out, err } = await rubato([hostile]);
    expect(out + err).not.toMatch(/[^\P{Cc}\n\t]|\u202e/u);
    const json = await rubato(["--json", hostile]);
    expect(json.out).not.toMatch(/[^\P{Cc}\n]|\u202e/u);
    expect(json.out).toContain("\\u009b");
  });

  it("says its version", async () => {
    expect((await rubato(["--version"])).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});
