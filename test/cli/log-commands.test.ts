import { describe, expect, it } from "vitest";
import { start } from "./child.ts";
import { place } from "./place.ts";

async function onlyRun(at: ReturnType<typeof place>): Promise<string> {
  const { out } = await at.rubato("runs", "--json");
  const [, runId = ""] = /"runId":"([^"]+)"/.exec(out) ?? [];
  return runId;
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
});
