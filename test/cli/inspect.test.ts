import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { eventually, raw } from "../server/served.ts";
import { start } from "./child.ts";
import { stage } from "./stage.ts";

const LOG = join(import.meta.dirname, "../fixtures/schema-1/plain.jsonl");

/** The program until it printed its address. */
async function inspecting(...args: string[]): Promise<{ url: URL; token: string; stop: () => Promise<number | null> }> {
  const folder = mkdtempSync(join(tmpdir(), "rubato-inspect-"));
  onTestFinished(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  const child = start(["inspect", ...args, "--offline", "--log", folder], "", {});
  let out = "";
  child.process.stdout?.on("data", (piece: string) => {
    out += piece;
  });
  await child.until(/Open it in a browser/);
  await eventually(() => out.includes("\n"));
  const url = new URL(out.trim());
  const token = new URLSearchParams(url.hash.slice(1)).get("token") ?? "";
  return {
    url,
    token,
    async stop() {
      child.process.kill("SIGINT");
      return (await child.ended).code;
    },
  };
}

describe("rubato inspect", () => {
  it("shows a file to whoever has the address, byte by byte, and to nobody else", async () => {
    const { url, token, stop } = await inspecting(LOG);
    expect(url.hostname).toBe("127.0.0.1");
    expect(token).toMatch(/^[\w-]{32}$/);
    expect(new URLSearchParams(url.hash.slice(1)).get("file")).toBe("plain.jsonl");
    expect((await raw(`${url.origin}/inspect`)).body).toContain('src="inspect/page.js"');
    const log = `${url.origin}/inspect/log`;
    expect((await raw(log)).status).toBe(401);
    expect((await raw(`${log}?token=${token}`)).status).toBe(401);
    expect((await raw(log, { headers: { authorization: `Bearer ${token}`, host: "evil.example" } })).status).toBe(403);
    const { status, body } = await raw(log, { headers: { authorization: `Bearer ${token}` } });
    expect([status, body]).toEqual([200, readFileSync(LOG, "utf8")]);
    expect(await stop()).toBe(0);
  });

  it("serves the runs of the log, with a token of its own", async () => {
    const { url, token, stop } = await inspecting();
    expect((await raw(`${url.origin}/runs`)).status).toBe(401);
    const { status, body } = await raw(`${url.origin}/runs`, { headers: { authorization: `Bearer ${token}` } });
    expect([status, JSON.parse(body)]).toEqual([200, { runs: [] }]);
    expect((await raw(`${url.origin}/inspect/page.js`)).status).toBe(200);
    expect(await stop()).toBe(0);
  });

  it.for([
    [["no-such-run"], 1, /no run|no runs/i],
    [["a", "b"], 2, /takes one run or file/],
    [["--port", "99999"], 2, /--port must be a whole number/],
  ] as const)("refuses %s", async ([args, code, message]) => {
    const it = stage();
    const answer = await it.rubato("inspect", ...args);
    expect([answer.code, answer.out]).toEqual([code, ""]);
    expect(answer.err).toMatch(message);
    await it.close();
  });
});
