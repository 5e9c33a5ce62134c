import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { rubato, start } from "./child.ts";
import { place } from "./place.ts";

const servers: Server[] = [];
afterAll(() => {
  for (const server of servers) server.close();
});

/** It refuses every key. */
async function refusingEndpoint(): Promise<string> {
  const server = createServer((_request, response) => {
    response.writeHead(401, { "content-type": "application/json" }).end('{"error":{"message":"no"}}');
  });
  servers.push(server.listen(0, "127.0.0.1"));
  await once(server, "listening");
  const address = server.address();
  return `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}/v1`;
}

async function onlyRun(at: ReturnType<typeof place>): Promise<string> {
  const { out } = await at.rubato("runs", "--json");
  const [, runId = ""] = /"runId":"([^"]+)"/.exec(out) ?? [];
  return runId;
}

describe.concurrent("the commands, as processes", () => {
  it("a run whose endpoint failed: what is told to type asks that endpoint again, and another model says that it is one", async () => {
    const at = place();
    const url = await refusingEndpoint();
    const failed = await at.rubato("--model", "m", "--base-url", url, "what is 17*23?");
    expect(failed).toMatchObject({ code: 1, out: "" });
    const [, line = ""] = /^rubato: to go on: rubato (.*) \["instruction"\]$/m.exec(failed.err) ?? [];
    const runId = await onlyRun(at);
    expect(line).toBe(`--model m --base-url ${url} resume ${runId.slice(0, 12)}`);
    const again = await at.rubato(...line.split(" "));
    expect(again.code).toBe(1);
    expect(again.err).not.toContain("The run was begun with");
    expect(await at.rubato("resume", runId)).toMatchObject({
      code: 0,
      out: "17*23 = 391.\n",
      err: expect.stringContaining('The run was begun with the model "m"; here "offline" answers'),
    });
  });

  it("a process that is killed leaves a run that goes on elsewhere", async () => {
    const at = place();
    const child = start(["write a long answer about tides"], "", at.env);
    await child.until(/longer text/);
    child.process.kill("SIGKILL");
    await child.ended;
    expect((await at.rubato("runs")).out).toMatch(/thinking, not running +rubato/);
    const resumed = start(["resume", "--last"], "", at.env);
    await resumed.until(/longer text/);
    resumed.process.kill("SIGINT");
    expect((await resumed.ended).code).toBe(130);
    expect((await at.rubato("show", "run_", "--type", "owner")).out).toMatch(/owner +epoch 2, resume\n$/);
  });

  it.each([
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const)("%s brings the run to rest and says how to resume it", async (signal, exit) => {
    const at = place();
    const child = start(["write a long answer about tides"], "", at.env);
    await child.until(/longer text/);
    child.process.kill(signal);
    const { code, err } = await child.ended;
    expect(code).toBe(exit);
    expect(err).toMatch(/interrupted, step 1, [^\n]* kept[^\n]*\nrubato: to go on: rubato resume run_[\da-f]{8} /);
    expect((await at.rubato("runs", "--status", "interrupted")).out.split("\n")).toHaveLength(3);
  });

  it("a reader that goes away ends it quietly", async () => {
    const at = place();
    await at.rubato("write a short answer about tides");
    const child = start(["show", "run_"], "", at.env);
    await child.until(/run_start/);
    child.process.stdout?.destroy();
    const { err } = await child.ended;
    expect(err).toBe("");
  });

  it("a folder that cannot be used is one sentence, with a trace for those who ask for it", async () => {
    const at = place();
    const file = join(at.folder, "file");
    writeFileSync(file, "");
    for (const argv of [["hi"], ["runs"]]) {
      const { code, out, err } = await rubato(["--log", file, ...argv]);
      expect([code, out]).toEqual([1, ""]);
      expect(err).toMatch(/^rubato: [^\n]*is a file or lies below one[^\n]*\n$/);
    }
    const traced = await rubato(["show", "nope"], "", { DEBUG: "rubato", RUBATO_LOG: at.folder });
    expect(traced).toMatchObject({ code: 1, err: expect.stringMatching(/There is no run "nope"[\s\S]*\n {4}at /) });
  });

  it("keeps runs in a corner of the current folder that no repository takes in, unless it is told not to", async () => {
    const at = place();
    const work = join(at.folder, "work");
    mkdirSync(work);
    const env = { RUBATO_LOG: "", INIT_CWD: work };
    const here = start(["hello", "--root", work], "", env, work);
    expect((await here.ended).code).toBe(0);
    expect(readFileSync(join(work, ".rubato", ".gitignore"), "utf8")).toBe("*\n");
    expect((await start(["runs"], "", env, work).ended).out).toMatch(/done +rubato +\d+ +\d+ s +hello/);
  });
});
