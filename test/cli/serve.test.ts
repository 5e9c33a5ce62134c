import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { fileLog } from "rubato";
import { eventually, parseSse, post, raw } from "../server/served.ts";
import { start } from "./child.ts";
import { stage } from "./stage.ts";

const TOKEN = "correct-horse-battery";

describe("rubato serve", () => {
  it("serves the chat's agent in a process of its own until Ctrl-C, and leaves a log that others go on with", async () => {
    const folder = mkdtempSync(join(tmpdir(), "rubato-serve-"));
    onTestFinished(() => {
      rmSync(folder, { recursive: true, force: true });
    });
    const child = start(["serve", "--port", "0", "--offline", "--log", folder], "", { RUBATO_TOKEN: TOKEN });
    let url = "";
    child.process.stdout?.on("data", (piece: string) => {
      url = piece.trim();
    });
    await child.until(/Try: curl/);
    await eventually(() => url !== "");
    expect((await raw(`${url}/runs`)).status).toBe(401);
    const headers = { authorization: `Bearer ${TOKEN}`, accept: "text/event-stream" };
    const answer = await post(`${url}/runs`, { task: "What is 6*7?", runId: "r1" }, headers);
    const { events } = parseSse(await answer.text());
    expect(events.at(-1)).toMatchObject({ type: "done", data: { output: expect.stringContaining("42") } });
    child.process.kill("SIGINT");
    const { code, out, err } = await child.ended;
    expect(code).toBe(0);
    expect(out).toBe(`${url}\n`);
    expect(err).toContain("This is the offline model");
    expect(err).toContain(`--json '{"task":"What is 6*7?"}' ${url}/runs`);
    expect(out + err).not.toContain(TOKEN);
    expect(await fileLog(folder).read("r1", { after: 0, limit: 10_000 })).toEqual(events);
  });

  it.for([
    [["--host", "0.0.0.0"], 1, /needs a token/],
    [["--token", "short"], 1, /at least 16/],
    [["--port", "99999"], 2, /--port must be a whole number/],
    [["here"], 2, /takes no words/],
    [["--json"], 2, /has no option --json/],
    [["--origin", "*", "--port", "0"], 1, /origins/],
  ] as const)("refuses %s", async ([args, code, message]) => {
    const it = stage();
    const answer = await it.rubato("serve", ...args);
    expect([answer.code, answer.out]).toEqual([code, ""]);
    expect(answer.err).toMatch(message);
    await it.close();
  });
});
