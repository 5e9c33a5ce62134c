import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseEvent } from "../../machines/events.ts";
import { rubato, start } from "./child.ts";

function frame(choice: object): string {
  return `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", choices: [{ index: 0, ...choice }] })}\n\n`;
}

describe.concurrent("rubato with a task, as a process", () => {
  it("takes the task from a pipe", async () => {
    const { code, out } = await rubato([], "list files in tools\n");
    expect([code, out.includes("standard.ts")]).toEqual([0, true]);
  });

  it("prints each event as one line of JSON", async () => {
    const { code, out } = await rubato(["run", "--json", "list files in tools"]);
    expect(code).toBe(0);
    const events = out
      .trimEnd()
      .split("\n")
      .map((line) => parseEvent(JSON.parse(line)));
    expect(events.map((event) => event.seq)).toEqual(events.map((_event, index) => index + 1));
    expect(events[0]?.type).toBe("run_start");
    expect(events.at(-1)?.type).toBe("done");
  });

  it.each([
    ["an unknown option", ["--nonsense"], "Unknown option '--nonsense'"],
    ["a root that is none", ["--root", "/does/not/exist", "hi"], "--root must be a folder"],
  ])("answers %s with one sentence and 2", async (_name, args, sentence) => {
    const { code, out, err } = await rubato(args);
    expect(code).toBe(2);
    expect(out).toBe("");
    expect(err).toContain(sentence);
    expect(err.trimEnd().split("\n")).toHaveLength(1);
  });

  it("answers an empty pipe with one sentence and 2", async () => {
    const { code, err } = await rubato([], "");
    expect([code, err]).toEqual([2, "rubato: The task is empty. Try rubato --help.\n"]);
  });

  it("answers an endpoint that is not there with one sentence and 1", async () => {
    const { code, out, err } = await rubato(["hi", "--model", "m"], "", { OPENAI_BASE_URL: "http://127.0.0.1:9" });
    expect(code).toBe(1);
    expect(out).toBe("");
    expect(err).toMatch(/^(?:\(asked again in [^\n]*\n){3}rubato: [^\n]*127\.0\.0\.1:9[^\n]*\n$/);
  });

  it("--yes asks nobody, loudly", async () => {
    const folder = mkdtempSync(join(tmpdir(), "rubato-yes-"));
    try {
      const { code, err } = await rubato(["write 'hello' to notes.txt", "--yes", "--root", folder]);
      expect(code).toBe(0);
      expect(err).toContain("NOBODY IS ASKED");
      expect(readFileSync(join(folder, "notes.txt"), "utf8")).toBe("hello");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("--tools read has no tools that act", async () => {
    const { out } = await rubato(["write 'hello' to no.txt", "--tools", "read"]);
    expect(out).toContain("needs the tool write_file, which I do not have here");
  });

  it("a budget of tokens is an interrupt that says what to raise", async () => {
    const folder = mkdtempSync(join(tmpdir(), "rubato-budget-"));
    try {
      const { code, err } = await rubato(["what is 2+2", "--max-tokens", "1", "--log", folder]);
      expect(code).toBe(130);
      expect(err).toMatch(/stopped at the limit of 1 output token \(\d+ used\)/);
      expect(err).toMatch(/rubato: to go on: rubato --log \S+ resume run_\w+ --budget outputTokens=\d+ /);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("SIGINT while a tool runs says so", async () => {
    const child = start(["wait 60 seconds"]);
    await child.until(/· wait seconds: 60/);
    child.process.kill("SIGINT");
    const { code, err } = await child.ended;
    expect(code).toBe(130);
    expect(err).toMatch(/interrupted, step 1, (during wait \(aborted\)|before a tool ran)/);
  });

  it("SIGTERM ends with 143", async () => {
    const child = start(["wait 60 seconds"]);
    await child.until(/· wait seconds: 60/);
    child.process.kill("SIGTERM");
    expect((await child.ended).code).toBe(143);
  });

  it("a limit is an interrupt that says what to raise", async () => {
    const { code, err } = await rubato(["--max-steps", "1", "list files in tools"]);
    expect(code).toBe(130);
    expect(err).toContain("stopped at the limit of 1 step per turn (raise it with --max-steps)");
  });

  it("a reader that goes away ends it quietly", async () => {
    const child = start(["write a long answer about tides"]);
    await child.until(/longer text/);
    child.process.stdout?.destroy();
    const { code, err } = await child.ended;
    expect(code).toBe(141);
    expect(err.trimEnd().split("\n")).toHaveLength(1);
  });

  it("a hostile model reaches neither stream with a control sequence, however it is split", async () => {
    const hostile = "safe \u001b]52;c;ZXZpbA==\u0007\u001b[31m\u009b2Jtext\u202e\rend";
    const server = createServer((request, response) => {
      request.resume();
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (const content of hostile) response.write(frame({ delta: { content } }));
      response.end(`${frame({ delta: {}, finish_reason: "stop" })}data: [DONE]\n\n`);
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    try {
      const { code, out, err } = await rubato(["--base-url", `http://127.0.0.1:${port}/v1`, "--model", "m", "hi"]);
      expect({ code, out, err }).toEqual({ code: 0, out: "safe text\nend\n", err: "" });
    } finally {
      server.close();
    }
  });
});
