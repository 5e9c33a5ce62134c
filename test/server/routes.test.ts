import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { createAgent, defineTool, fileLog, memoryLog, pause, scriptedModel, stateAt, toolCalls } from "rubato";
import { createHandler, serve } from "rubato/server";
import { z } from "zod";
import { until } from "../support/agents.ts";
import { goldenModel } from "../support/golden-run.ts";
import { codeOf, eventually, finished, JSON_TYPE, object, parseSse, post, raw, served } from "./served.ts";
import { open } from "./wire.ts";

describe("a run over HTTP", () => {
  it("is begun, listed, shown, and its state is that of its log at any seq", async () => {
    const it = await served();
    const begun = await post(`${it.url}/runs`, { task: "weather", runId: "r1", metadata: { team: "north", n: 3 } });
    expect(begun.status).toBe(201);
    expect(begun.headers.get("location")).toBe("/runs/r1");
    expect(await begun.json()).toMatchObject({ runId: "r1", agent: "test" });
    await (await it.agent.open("r1")).settled();
    await finished(it, "r2");

    const ids = async (query: string): Promise<unknown> => {
      const { runs } = await object(await fetch(`${it.url}/runs${query}`));
      return Array.isArray(runs) ? runs.map((run: { runId: unknown }) => run.runId) : runs;
    };
    expect(await ids("")).toEqual(["r1", "r2"]);
    expect(await ids("?metadata.team=north")).toEqual(["r1"]);
    expect(await ids("?metadata.n=3&status=done&agent=test")).toEqual(["r1"]);
    expect(await ids("?metadata.toString=x")).toEqual([]);
    expect(await ids("?status=failed")).toEqual([]);
    expect(await ids("?agent=other")).toEqual([]);
    expect(await ids("?limit=1")).toEqual(["r2"]);

    const [listed] = await it.agent.runs();
    expect(await (await fetch(`${it.url}/runs/r1`)).json()).toEqual(listed);
    const { length } = await it.events("r1");
    for (const seq of [0, 1, 9, length]) {
      const state = await stateAt(it.log, "r1", seq);
      const shown = await object(await fetch(`${it.url}/runs/r1/state?seq=${seq}`));
      expect(shown).toMatchObject({ seq, status: state.status, value: state.value, output: state.output });
      expect(shown.messages).toEqual(JSON.parse(JSON.stringify(state.messages)));
    }
    const now = await object(await fetch(`${it.url}/runs/r1/state`));
    expect(now).toMatchObject({ runId: "r1", seq: length, status: "done", atRest: true });
  });

  it("streams at once when that is asked for, and ends at its rest", async () => {
    const it = await served();
    const sse = await post(`${it.url}/runs`, { task: "weather", runId: "r1" }, { accept: "text/event-stream" });
    expect(sse.status).toBe(200);
    expect(sse.headers.get("x-run-id")).toBe("r1");
    const { events, comments } = parseSse(await sse.text());
    expect(events).toEqual(await it.events("r1"));
    expect(comments).toEqual(["end rest"]);

    const lines = await post(`${it.url}/runs`, { task: "weather", runId: "r2" }, { accept: "application/x-ndjson" });
    const text = await lines.text();
    expect(
      text
        .trimEnd()
        .split("\n")
        .map((line): unknown => JSON.parse(line)),
    ).toEqual(await it.events("r2"));
  });

  it("is not begun where its stream is refused", async () => {
    const it = await served({}, { limits: { connections: 1 } });
    const sse = { accept: "text/event-stream" };
    const refused = async (query: string, headers: Record<string, string>): Promise<unknown[]> => {
      const answer = await post(`${it.url}/runs${query}`, { task: "weather", runId: "r2" }, { ...sse, ...headers });
      return [answer.status, codeOf(await answer.text())];
    };
    expect(await refused("", { "last-event-id": "5" })).toEqual([400, "cursor_beyond_head"]);
    expect(await refused("?after=r1:0", {})).toEqual([400, "cursor_of_another_run"]);
    expect(await refused("?types=nonsense", {})).toEqual([400, "invalid_request"]);
    await finished(it, "r1");
    const only = await open(`${it.url}/runs/r1/events`);
    expect(await refused("", {})).toEqual([429, "too_many_connections"]);
    only.cut();
    expect(await object(await fetch(`${it.url}/runs`))).toMatchObject({ runs: [{ runId: "r1" }] });
  });

  it("takes every verb, and answers the receipt as it is", async () => {
    const gate = pause();
    const it = await served({ model: scriptedModel([["half", gate, " more"], ["again", pause()], "fine", "fork"]) });
    await post(`${it.url}/runs`, { task: "talk", runId: "r1" });
    const url = `${it.url}/runs/r1/commands`;
    const told = async (command: unknown): Promise<{ status: number; receipt: Record<string, unknown> }> => {
      const answer = await post(url, command);
      return { status: answer.status, receipt: await object(answer) };
    };
    await eventually(async () => (await it.agent.open("r1")).state.partial?.text === "half");
    expect(await told({ verb: "resume" })).toEqual({ status: 409, receipt: { accepted: false, reason: "running" } });
    const stopped = await told({ verb: "interrupt", reason: "wait", mode: "now", by: "anna" });
    expect(stopped).toMatchObject({
      status: 200,
      receipt: { accepted: true, effective: true, where: "thinking.streaming", keptChars: 4 },
    });
    expect((await it.events("r1")).find(({ type }) => type === "interrupt")).toMatchObject({
      data: { by: "anna", reason: "wait" },
    });
    expect(await told({ verb: "approve", callId: "1.0" })).toMatchObject({
      status: 409,
      receipt: { reason: "not_waiting" },
    });
    expect(
      await told({
        verb: "approve",
        callId: "1.0",
        args: { a: 1 },
        answer: "yes",
        forRun: true,
        argsHash: "x",
        by: "anna",
      }),
    ).toMatchObject({ status: 409, receipt: { reason: "not_waiting" } });
    expect(await told({ verb: "reject", callId: "1.0" })).toMatchObject({ status: 409 });
    expect(await told({ verb: "settleCall", callId: "1.0", output: 1 })).toMatchObject({
      status: 409,
      receipt: { reason: "not_unknown" },
    });
    expect(await told({ verb: "resume", instruction: "go on", partial: "keep" })).toMatchObject({ status: 200 });
    expect(await told({ verb: "send", text: "shorter", when: "now", id: "i1" })).toMatchObject({
      status: 200,
      receipt: { accepted: true, id: "i1" },
    });
    const run = await it.agent.open("r1");
    expect(await run.settled()).toMatchObject({ status: "done", output: "fine" });
    const forked = await told({ verb: "fork", at: 4, instruction: "other", runId: "f1" });
    expect(forked).toMatchObject({ status: 200, receipt: { accepted: true, runId: "f1" } });
    expect(await (await it.agent.open("f1")).settled()).toMatchObject({ status: "done", output: "fork" });
    expect(await told({ verb: "cancel", reason: "enough" })).toMatchObject({
      status: 409,
      receipt: { reason: "done" },
    });
    expect(it.errors).toEqual([]);
  });

  it("waits for a person, who sees what it asks and allows that or not", async () => {
    const pay = defineTool({
      name: "pay",
      description: "Pays",
      input: z.object({ euros: z.number() }),
      approval: "always",
      async execute({ euros }) {
        return `paid ${euros}`;
      },
    });
    const calls = toolCalls([
      { name: "pay", args: { euros: 5 } },
      { name: "pay", args: { euros: 500 } },
    ]);
    const it = await served({ tools: [pay], model: scriptedModel([calls, "fine"]) });
    const begun = await post(`${it.url}/runs`, { task: "pay", runId: "r1" }, { accept: "text/event-stream" });
    // It rests while it waits, so the stream of its beginning ends.
    expect(parseSse(await begun.text()).events.at(-1)?.type).toBe("approval_request");
    const state = await object(await fetch(`${it.url}/runs/r1/state`));
    expect(state).toMatchObject({
      status: "waiting",
      pendingApprovals: [{ callId: "1.0" }, { callId: "1.1", args: { euros: 500 } }],
    });
    const url = `${it.url}/runs/r1/commands`;
    const other = await post(url, { verb: "approve", callId: "1.0", argsHash: "of something else" });
    expect([other.status, await other.json()]).toMatchObject([409, { accepted: false, reason: "other_args" }]);
    expect((await post(url, { verb: "approve", callId: "1.0", args: { euros: 4 }, by: "anna" })).status).toBe(200);
    expect((await post(url, { verb: "reject", callId: "1.1", reason: "too much" })).status).toBe(200);
    expect(await (await it.agent.open("r1")).settled()).toMatchObject({ status: "done", output: "fine" });
    const resultOf = async (callId: string): Promise<unknown> =>
      (await it.events("r1")).find(
        ({ type, data }) => type === "tool_result" && "callId" in data && data.callId === callId,
      );
    expect(await resultOf("1.0")).toMatchObject({ data: { outcome: "ok", output: "paid 4" } });
    expect(await resultOf("1.1")).toMatchObject({ data: { outcome: "rejected" } });
  });

  it("has tools see the context that its request stands for", async () => {
    const whoami = defineTool({
      name: "whoami",
      description: "Who asks",
      input: z.object({}),
      async execute(_input, ctx) {
        return typeof ctx.context === "string" ? ctx.context : "nobody";
      },
    });
    const it = await served(
      { tools: [whoami], model: scriptedModel([toolCalls([{ name: "whoami", args: {} }]), "fine"]) },
      { context: (request) => request.headers.get("x-user") },
    );
    const { headers } = await post(`${it.url}/runs`, { task: "who?", runId: "r1" }, { "x-user": "anna" });
    expect(headers.get("x-run-id")).toBe("r1");
    await (await it.agent.open("r1")).settled();
    const result = (await it.events("r1")).find(({ type }) => type === "tool_result");
    expect(result).toMatchObject({ data: { outcome: "ok", output: "anna" } });
    // It never reaches the log but through a tool that says it.
    expect(JSON.stringify((await it.events("r1")).filter(({ type }) => type !== "tool_result"))).not.toContain("anna");
  });

  it("that another process owns is followed and commanded like one's own (case 31)", async () => {
    const folder = mkdtempSync(join(tmpdir(), "rubato-server-"));
    onTestFinished(() => {
      rmSync(folder, { recursive: true, force: true });
    });
    const owner = createAgent({
      name: "test",
      model: scriptedModel([["half ", pause()], "whole"]),
      log: fileLog(folder),
    });
    const run = owner.run("talk", { runId: "r1" });
    await until(run, "token_stream");
    const it = await served({ model: scriptedModel([]), tools: [], log: fileLog(folder) });
    const stream = await open(`${it.url}/runs/r1/events`);
    await stream.until((text) => text.includes('"text":"half"'));
    const stopped = await post(`${it.url}/runs/r1/commands`, { verb: "interrupt", mode: "now", by: "anna" });
    expect([stopped.status, await stopped.json()]).toMatchObject([
      200,
      { accepted: true, effective: true, keptChars: 5 },
    ]);
    expect((await post(`${it.url}/runs/r1/commands`, { verb: "resume" })).status).toBe(200);
    await run.settled();
    const text = await stream.until((all) => all.includes("event: done") && all.endsWith("\n\n"));
    expect(parseSse(text).events).toEqual(await it.events("r1"));
    expect((await it.events("r1")).some(({ type }) => type === "owner")).toBe(false);
    stream.cut();
    await owner.close();
  });

  it("of several agents is found by its id, and whose it is must be said at its start", async () => {
    const log = memoryLog();
    const agents = ["a", "b"].map((name) => createAgent({ name, model: goldenModel(), log }));
    const stranger = createAgent({ name: "c", model: scriptedModel(["x"]), log });
    await stranger.run("x", { runId: "strange" }).settled();
    const handler = createHandler({ agents });
    const ask = (path: string, body?: unknown): Promise<Response> =>
      handler(
        new Request(
          `http://localhost${path}`,
          body === undefined ? {} : { method: "POST", headers: JSON_TYPE, body: JSON.stringify(body) },
        ),
      );
    const nobody = await ask("/runs", { task: "x" });
    expect(nobody.status).toBe(400);
    expect(codeOf(await nobody.text())).toBe("invalid_request");
    expect(await (await ask("/runs", { task: "x", agent: "b", runId: "r1" })).json()).toMatchObject({ agent: "b" });
    expect(await (await ask("/runs/r1")).json()).toMatchObject({ runId: "r1", agent: "b" });
    // What another agent keeps in the same log does not exist here.
    expect((await ask("/runs/strange")).status).toBe(404);
    expect((await ask("/runs/strange/events")).status).toBe(404);
    const taken = await ask("/runs", { task: "x", agent: "a", runId: "r1" });
    expect([taken.status, codeOf(await taken.text())]).toEqual([409, "run_exists"]);
    await handler.close();
    for (const agent of [...agents, stranger]) await agent.close();
  });

  it("mounted elsewhere streams through the body of its response, and a reader that leaves frees it", async () => {
    const agent = createAgent({ name: "a", model: scriptedModel([["one ", pause()]]) });
    const handler = createHandler({ agents: agent, basePath: "/api/agent" });
    await handler(
      new Request("http://localhost/api/agent/runs", {
        method: "POST",
        headers: JSON_TYPE,
        body: JSON.stringify({ task: "x", runId: "r1" }),
      }),
    );
    const response = await handler(new Request("http://localhost/api/agent/runs/r1/events"));
    const reader = response.body?.getReader();
    let text = "";
    while (!text.includes('"text":"one"')) text += Buffer.from((await reader?.read())?.value ?? "").toString();
    expect(parseSse(text).events.at(-1)).toMatchObject({ type: "token_stream" });
    const open = async (): Promise<boolean> =>
      (await (await handler(new Request("http://localhost/api/agent/metrics"))).text()).includes('open{kind="sse"} 1');
    expect(await open()).toBe(true);
    await reader?.cancel();
    expect(await open()).toBe(false);
    await agent.close();
    await handler.close();
  });
});

describe("what cannot be", () => {
  const BAD: readonly (readonly [
    name: string,
    method: string,
    path: string,
    body: string | undefined,
    status: number,
    code: string,
  ])[] = [
    ["malformed JSON", "POST", "/runs", '{"task":', 400, "invalid_json"],
    ["bytes that are no text", "POST", "/runs", "\uD800\u0000", 400, "invalid_json"],
    ["a body that is no object", "POST", "/runs", "[]", 400, "invalid_request"],
    ["no task", "POST", "/runs", "{}", 400, "invalid_request"],
    ["an empty task", "POST", "/runs", '{"task":"  "}', 400, "invalid_request"],
    ["a key that nothing reads", "POST", "/runs", '{"task":"x","model":"gpt"}', 400, "invalid_request"],
    ["a run id that is a path", "POST", "/runs", '{"task":"x","runId":"../x"}', 400, "invalid_option"],
    [
      "messages with a call without its result",
      "POST",
      "/runs",
      '{"task":"x","messages":[{"role":"assistant","content":"","toolCalls":[{"callId":"1.0","providerCallId":"","name":"n","args":"{}"}]}]}',
      400,
      "invalid_input",
    ],
    ["metadata that is no object", "POST", "/runs", '{"task":"x","metadata":[1]}', 400, "invalid_request"],
    ["an id that exists", "POST", "/runs", '{"task":"x","runId":"r1"}', 409, "run_exists"],
    ["an agent that is not here", "POST", "/runs", '{"task":"x","agent":"other"}', 400, "invalid_request"],
    ["an unknown command", "POST", "/runs/r1/commands", '{"verb":"explode"}', 400, "unknown_command"],
    ["a command without a verb", "POST", "/runs/r1/commands", '{"text":"x"}', 400, "unknown_command"],
    [
      "a verb that is a method of every object",
      "POST",
      "/runs/r1/commands",
      '{"verb":"toString"}',
      400,
      "unknown_command",
    ],
    [
      "a command with a wrong field",
      "POST",
      "/runs/r1/commands",
      '{"verb":"send","text":"x","when":"later"}',
      400,
      "invalid_request",
    ],
    ["a negative grace", "POST", "/runs/r1/commands", '{"verb":"interrupt","graceMs":-1}', 400, "invalid_request"],
    [
      "a settled call with two ends",
      "POST",
      "/runs/r1/commands",
      '{"verb":"settleCall","callId":"1.0","output":1,"error":"x"}',
      400,
      "invalid_request",
    ],
    ["a fork beyond the end", "POST", "/runs/r1/commands", '{"verb":"fork","at":100000}', 400, "invalid_option"],
    ["a command to a run that is not there", "POST", "/runs/nix/commands", '{"verb":"interrupt"}', 404, "unknown_run"],
    ["a run that is not there", "GET", "/runs/nix", undefined, 404, "unknown_run"],
    ["a run id with an escape in it", "GET", "/runs/..%2f..%2fetc", undefined, 404, "unknown_run"],
    ["events of a run that is not there", "GET", "/runs/nix/events", undefined, 404, "unknown_run"],
    ["the state of a run that is not there", "GET", "/runs/nix/state", undefined, 404, "unknown_run"],
    ["a state beyond the end", "GET", "/runs/r1/state?seq=100000", undefined, 400, "invalid_option"],
    ["a seq that is none", "GET", "/runs/r1/state?seq=-1", undefined, 400, "invalid_request"],
    ["an unknown status", "GET", "/runs?status=sleepy", undefined, 400, "invalid_request"],
    ["a query that nothing reads", "GET", "/runs?state=done", undefined, 400, "invalid_request"],
    ["a path that is not there", "GET", "/nix", undefined, 404, "not_found"],
    ["a method that is not there", "DELETE", "/runs/r1", undefined, 405, "method_not_allowed"],
    ["a stream without a body", "HEAD", "/runs/r1/events", undefined, 405, ""],
    ["a change by GET", "GET", "/runs/r1/commands?verb=cancel", undefined, 405, "method_not_allowed"],
    ["a socket without an upgrade", "GET", "/runs/r1/socket", undefined, 426, "upgrade_required"],
  ];

  it.for(BAD)("%s: %s %s", async ([, method, path, body, status, code]) => {
    const it = await served();
    await finished(it, "r1");
    const before = await it.events("r1");
    const answer = await raw(`${it.url}${path}`, {
      method,
      headers: body === undefined ? {} : JSON_TYPE,
      ...(body === undefined ? {} : { body: Buffer.from(body, "latin1") }),
    });
    expect(answer.status).toBe(status);
    if (code !== "") expect(codeOf(answer.body)).toBe(code);
    // Nothing is recorded that was not accepted, and nothing broke inside.
    expect(await it.events("r1")).toEqual(before);
    expect((await it.agent.runs()).length).toBe(1);
    expect(it.errors).toEqual([]);
  });

  it("is a server without agents, with a wrong option, or on a port that is taken", async () => {
    const agent = createAgent({ name: "a", model: goldenModel() });
    await expect(serve({ agents: [] })).rejects.toMatchObject({ code: "invalid_option" });
    const wrong: Parameters<typeof serve>[0] = JSON.parse('{"prot":1}');
    await expect(serve({ ...wrong, agents: agent })).rejects.toThrow(/no option "prot"/);
    await expect(serve({ agents: agent, limits: { runs: 0 } })).rejects.toThrow(/limits.runs/);
    const first = await serve({ agents: agent, port: 0 });
    await expect(serve({ agents: agent, port: first.port })).rejects.toThrow(/Choose another port/);
    await first.close();
  });
});
