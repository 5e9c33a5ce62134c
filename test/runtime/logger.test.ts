import { describe, expect, it } from "vitest";
import { z } from "zod";
import { defineTool, memoryLog, pause, scriptedModel, type EventLog, type Logger, type LogLevel } from "rubato";
import { isHot } from "rubato/machines";
import { testAgent, until } from "../support/agents.ts";
import { goldenModel, goldenTools } from "../support/golden-run.ts";
import { stored } from "../support/logs.ts";

type Line = { readonly level: LogLevel; readonly message: string } & Readonly<Record<string, unknown>>;

function lines(): { readonly logger: Logger; readonly said: Line[] } {
  const said: Line[] = [];
  const at = (level: LogLevel) => (fields: object, message: string) => {
    said.push({ ...fields, level, message });
  };
  return { logger: { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") }, said };
}

describe("the logger", () => {
  it("gets one line per control event, in order, and none for a delta", async () => {
    const { logger, said } = lines();
    const { agent, log } = testAgent({
      model: goldenModel(),
      tools: goldenTools({ started: [], finished: [], aborted: [] }),
      logger,
    });
    await agent.run("How warm is it?", { runId: "r" }).settled();
    const control = (await stored(log, "r")).filter((event) => !isHot(event));
    expect(said.map(({ seq, message }) => [seq, message])).toEqual(control.map(({ seq, type }) => [seq, type]));
    expect(said.every((line) => line["agent"] === "test" && line["runId"] === "r")).toBe(true);
    await agent.close();
  });

  it("says nothing of what people, models and tools said, and no credential", async () => {
    const { logger, said } = lines();
    const secrets = defineTool({
      name: "leak",
      description: "",
      input: z.object({ q: z.string() }),
      execute({ q }, ctx) {
        ctx.emit("note", { word: "MARK-custom" });
        if (q === "throw")
          throw new Error("MARK-plain then Bearer abcdef123456 at https://ann:hunter22@x.example/?token=zzzz9999");
        return "MARK-output";
      },
    });
    const { agent } = testAgent({
      model: scriptedModel([
        { calls: [{ name: "leak", args: { q: "MARK-args" } }] },
        { calls: [{ name: "leak", args: { q: "throw" } }] },
        ["MARK-answer"],
      ]),
      tools: [secrets],
      redact: (text) => text.replaceAll("MARK-plain", "[mark]"),
      logger,
    });
    await agent.run("MARK-task", { runId: "r", metadata: { key: "MARK-metadata" } }).settled();
    const text = JSON.stringify(said);
    expect(text).not.toContain("MARK");
    for (const credential of ["abcdef123456", "hunter22", "zzzz9999"]) expect(text).not.toContain(credential);
    expect(text).toContain("[mark] then [credential]");
    const failed = said.find((line) => line.message === "tool_result" && line["outcome"] === "error");
    expect(failed).toMatchObject({ level: "warn", callId: "2.0", error: { code: "tool" } });
    await agent.close();
  });

  it("P28: finds them in a long hostile text in time by its length, not by its square", async () => {
    const { logger, said } = lines();
    const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJlMTIzNDU2";
    // By the square this is minutes; the test ends by its limit then.
    const text = `${"eyJ-".repeat(100_000)} ${" ".repeat(400_000)} ${jwt} password:  hunter22`;
    const hostile = defineTool({
      name: "hostile",
      description: "",
      input: z.object({}),
      execute() {
        throw new Error(text);
      },
    });
    const model = scriptedModel([{ calls: [{ name: "hostile", args: {} }] }, ["so be it"]]);
    const { agent } = testAgent({ model, tools: [hostile], logger });
    expect((await agent.run("go", { runId: "r" }).settled()).status).toBe("done");
    const line = JSON.stringify(said.find(({ message }) => message === "tool_result"));
    expect(line.slice(-100)).toContain("[credential] password:  [credential]");
    expect(line).not.toContain("hunter22");
    await agent.close();
  });

  it("P25: an interrupt is information, what ends a turn an error, what is tried again a warning", async () => {
    const { logger, said } = lines();
    let asked = 0;
    const { agent, clock } = testAgent({
      model: {
        name: "flaky",
        // oxlint-disable-next-line require-yield
        async *stream() {
          asked++;
          throw Object.assign(new Error(asked < 2 ? "busy" : "no"), { status: asked < 2 ? 503 : 400 });
        },
      },
      retry: { retries: 3 },
      logger,
    });
    const run = agent.run("say", { runId: "r" });
    const ended = run.settled();
    while (run.state.value !== "thinking.backoff") await new Promise((resolve) => setTimeout(resolve, 1));
    await run.interrupt("wait");
    expect(said.at(-1)).toMatchObject({ level: "info", message: "interrupted", reason: "wait", mode: "step" });
    await ended;
    await run.resume();
    clock.advance(60_000);
    expect((await run.settled()).status).toBe("failed");
    const levels = new Map(
      said.map(({ message, level, severity }) => [`${message} ${typeof severity === "string" ? severity : ""}`, level]),
    );
    expect(Object.fromEntries(levels)).toMatchObject({
      "interrupt ": "info",
      "retry ": "warn",
      "error medium": "warn",
      "error high": "error",
      "failed ": "error",
      "thinking ": "debug",
    });
    await agent.close();
  });

  it("is told about a log that fails, which no event can say; and may throw", async () => {
    const { logger, said } = lines();
    const inner = memoryLog();
    const log: EventLog = Object.assign(Object.create(inner), {
      append(...[runId, batch]: Parameters<EventLog["append"]>) {
        if (batch.events.some(({ type }) => type === "message")) throw new Error("the disk is full");
        return inner.append(runId, batch);
      },
    });
    const { agent } = testAgent({ model: scriptedModel([["a"]]), log, logger });
    await agent.run("say", { runId: "r" }).settled();
    expect(said.at(-1)).toMatchObject({ level: "error", message: "log_failed", severity: "critical", runId: "r" });
    await agent.close();

    const broken = (): never => {
      throw new Error("broken");
    };
    const hostile = testAgent({
      model: scriptedModel([["a"]]),
      logger: { debug: broken, info: broken, warn: broken, error: broken },
    });
    expect((await hostile.agent.run("say").settled()).status).toBe("done");
    await hostile.agent.close();
  });

  it("names the trace of whoever said it, and nothing of what vendors keep with it", async () => {
    const { logger, said } = lines();
    const { agent } = testAgent({ model: scriptedModel([["a"], ["b"], [pause(), "c"], ["d"]]), logger });
    const caller = (n: number) => ({
      traceparent: `00-${"a".repeat(31)}${n}-${"b".repeat(16)}-01`,
      tracestate: "v=MARK",
    });
    const run = agent.run("say", { runId: "r", ...caller(1) });
    await run.settled();
    await run.send("more", caller(2));
    await run.settled();
    await run.send("and more");
    await until(run, "thinking", ({ data }) => data.step === 3);
    await run.interrupt("wait", { mode: "now" });
    await run.resume(undefined, caller(3));
    await run.settled();
    await agent.close();
    const named = said.flatMap(({ message, traceparent }) =>
      traceparent === undefined ? [] : [[message, traceparent]],
    );
    expect(named).toEqual([
      ["run_start", caller(1).traceparent],
      ["user_input", caller(2).traceparent],
      ["resume", caller(3).traceparent],
    ]);
    expect(JSON.stringify(said)).not.toContain("MARK");
  });

  it("is refused where it is none", () => {
    const half: Logger = JSON.parse("{}");
    expect(() => testAgent({ model: scriptedModel([]), logger: half })).toThrow(/"logger" must be/);
  });
});
