import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { afterAll, describe, expect, it } from "vitest";
import { start } from "./child.ts";
import { place } from "./place.ts";

async function onlyRun(at: ReturnType<typeof place>): Promise<string> {
  const { out } = await at.rubato("runs", "--json");
  const [, runId = ""] = /"runId":"([^"]+)"/.exec(out) ?? [];
  return runId;
}

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

describe.concurrent("the commands, as processes", () => {
  it("a run is stopped from another process, told how to go on, and resumed in a third", async () => {
    const at = place();
    const child = start(["wait 60 seconds"], "", at.env);
    await child.until(/· wait seconds: 60/);
    const runId = await onlyRun(at);
    const stopped = await at.rubato("interrupt", runId, "enough", "--now");
    expect(stopped).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^interrupted, step 1, (during|before) [^\n]* m?s\n$/),
    });
    const ended = await child.ended;
    expect(ended.code).toBe(130);
    expect(ended.err).toContain(`rubato: to go on: rubato resume ${runId.slice(0, 12)} ["instruction"]`);
    expect(await at.rubato("resume", runId.slice(0, 12), "what is 17*23?")).toMatchObject({
      code: 0,
      out: "17*23 = 391.\n",
    });
  });

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
});
