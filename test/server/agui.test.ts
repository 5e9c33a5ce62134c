import { describe, expect, it } from "vitest";
import { pause } from "rubato";
import { manualClock } from "../support/manual-clock.ts";
import { GOLDEN_ANSWER } from "../support/golden-run.ts";
import { AguiClient, framesOf } from "./agui-client.ts";
import { broken, call, scripted } from "./protocol-agents.ts";
import { codeOf, eventually, object, post, raw, served } from "./served.ts";

function typesOf(events: readonly { readonly type: string }[]): string[] {
  return events.map(({ type }) => type);
}

describe("an official AG-UI client", () => {
  it("gets text, reasoning, parallel calls, state and an end, and goes on in the same thread", async () => {
    const it = await served();
    const client = new AguiClient(it, "t1");
    const { events, outcome, state } = await client.run("What is the average temperature?");
    expect(outcome.type).toBe("success");
    expect(new Set(typesOf(events))).toEqual(
      new Set([
        "RUN_STARTED",
        "STATE_SNAPSHOT",
        "STATE_DELTA",
        "STEP_STARTED",
        "STEP_FINISHED",
        "REASONING_START",
        "REASONING_MESSAGE_START",
        "REASONING_MESSAGE_CONTENT",
        "REASONING_MESSAGE_END",
        "REASONING_END",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "TOOL_CALL_START",
        "TOOL_CALL_ARGS",
        "TOOL_CALL_END",
        "TOOL_CALL_RESULT",
        "CUSTOM",
        "RUN_FINISHED",
      ]),
    );
    expect(client.agent.state).toMatchObject({ rubato: { status: "done", step: state.step } });
    expect(events.at(-1)).toMatchObject({
      result: { output: GOLDEN_ANSWER },
      usage: [{ model: "scripted", inputTokens: 90 }],
    });
    expect(events).toContainEqual({ type: "CUSTOM", name: "averaged", value: { count: 3 } });

    // The thread is a run as any other; its next turn is in the same log.
    expect(await object(await fetch(`${it.url}/runs/t1`))).toMatchObject({ status: "done" });
    const next = await client.run("And once more?");
    expect(next.outcome.type).toBe("success");
    expect(next.state.turn).toBe(2);
    expect(client.agent.messages.filter(({ role }) => role === "user")).toHaveLength(2);
  });

  it("sees a call that fails as a result, and its run as a success", async () => {
    const it = await served(scripted([call("broken"), "It failed."]));
    const { events, outcome } = await new AguiClient(it, "t1").run("try");
    expect(outcome.type).toBe("success");
    const result = events.find(({ type }) => type === "TOOL_CALL_RESULT");
    expect(result).toMatchObject({
      content: expect.stringContaining("the disk is full"),
      metadata: { outcome: "error" },
    });
    expect(broken.name).toBe("broken");
  });

  it("approves, edits and rejects by answering interrupts, each once and for the arguments that were seen", async () => {
    const it = await served(
      scripted([
        {
          calls: [
            { name: "refund", args: { amount: 5 } },
            { name: "refund", args: { amount: 6 } },
            { name: "refund", args: { amount: 7 } },
          ],
        },
        "All said.",
      ]),
    );
    const client = new AguiClient(it, "t1");
    const { outcome, state } = await client.run("pay");
    expect(state.status).toBe("waiting");
    expect(outcome).toMatchObject({
      type: "interrupt",
      interrupts: [{ toolCallId: "1.0" }, { toolCallId: "1.1" }, { toolCallId: "1.2" }],
    });
    const [first = "", second = "", third = ""] = outcome.interrupts.map(({ id }) => id);
    const unclear = await post(`${it.url}/agui`, {
      threadId: "t1",
      runId: "x",
      messages: [],
      resume: [{ interruptId: first, status: "resolved", payload: "yes" }],
    });
    expect([unclear.status, codeOf(await unclear.text())]).toEqual([400, "invalid_request"]);
    const other = await post(`${it.url}/agui`, {
      threadId: "t1",
      runId: "x",
      messages: [],
      resume: [{ interruptId: "1.0:another", status: "resolved", payload: true }],
    });
    expect([other.status, codeOf(await other.text())]).toEqual([409, "other_args"]);

    const answered = await client.run(undefined, {
      resume: [
        { interruptId: first, status: "resolved", payload: true },
        { interruptId: second, status: "resolved", payload: { approved: true, args: { amount: 1 } } },
        { interruptId: third, status: "resolved", payload: { approved: false, reason: "too much" } },
      ],
    });
    expect(answered.outcome.type).toBe("success");
    const outcomes = [...answered.state.toolCalls.values()].map(({ outcome, output }) => [outcome, output]);
    expect(outcomes).toEqual([
      ["ok", { paid: 5 }],
      ["ok", { paid: 1 }],
      ["rejected", undefined],
    ]);
    const again = await post(`${it.url}/agui`, {
      threadId: "t1",
      runId: "x",
      messages: [],
      resume: [{ interruptId: first, status: "resolved", payload: true }],
    });
    expect([again.status, codeOf(await again.text())]).toEqual([409, "not_waiting"]);
  });

  it("answers a question, and may say something else instead", async () => {
    const it = await served(
      scripted([call("ask_user", { question: "Which?" }), "Good.", call("ask_user", { question: "Sure?" }), "Fine."]),
    );
    const client = new AguiClient(it, "t1");
    const { outcome } = await client.run("choose");
    const [{ id } = { id: "" }] = outcome.interrupts;
    const answered = await client.run(undefined, {
      resume: [{ interruptId: id, status: "resolved", payload: { approved: true, answer: "the red one" } }],
    });
    expect(answered.state.toolCalls.get("1.0")?.output).toBe("the red one");
    const asked = await client.run("again");
    expect(asked.state.status).toBe("waiting");
    // Without an answer to it: another client, since the official one insists on one.
    const other = new AguiClient(it, "t1", client.agent.messages);
    other.agent.addMessage({ id: "else", role: "user", content: "never mind" });
    const { state } = await other.run();
    expect(state.status).toBe("done");
    expect(state.toolCalls.get("3.0")?.outcome).toBe("skipped");
  });

  it("case 34 P24: leaves without stopping the run, attaches again, and sees an interrupt as one", async () => {
    const gate = pause();
    const it = await served(scripted([["one ", gate, "two"], "Gone on."]));
    const client = new AguiClient(it, "t1");
    const reading = client.agent.runAgent.bind(client.agent);
    client.agent.addMessage({ id: "u1", role: "user", content: "talk" });
    const first = reading().catch(() => {});
    await eventually(async () => (await it.events("t1")).some(({ type }) => type === "token_stream"));
    await eventually(() => client.agent.messages.some(({ role }) => role === "assistant"));
    client.agent.abortRun();
    await first;
    await eventually(async () => (await raw(`${it.url}/metrics`)).body.includes('connections_open{kind="agui"} 0'));
    expect((await object(await fetch(`${it.url}/runs/t1`)))["status"]).toBe("thinking");

    // After a reload it has nothing: a snapshot, and then what comes.
    const later = new AguiClient(it, "t1");
    const rest = later.run();
    await eventually(() => later.agent.messages.length === 2);
    expect(later.agent.messages.at(-1)).toMatchObject({ role: "assistant", content: "one " });
    const stop = await post(`${it.url}/runs/t1/commands`, { verb: "interrupt", mode: "now", reason: "enough" });
    expect(await object(stop)).toMatchObject({ effective: true });
    const { outcome } = await rest;
    expect(outcome.interrupts).toMatchObject([
      { reason: "rubato:interrupted", message: "It was stopped by user: enough." },
    ]);
    const [{ id } = { id: "" }] = outcome.interrupts;
    const resumed = await later.run(undefined, { resume: [{ interruptId: id, status: "resolved" }] });
    expect(resumed.outcome.type).toBe("success");
    expect(later.agent.messages.at(-1)).toMatchObject({ content: "Gone on." });
  });

  it("resumes with a new message, and takes a discarded answer back", async () => {
    const [gate, other] = [pause(), pause()];
    const it = await served(scripted([["one ", gate], ["three ", other], "Done."]));
    const client = new AguiClient(it, "t1");
    const first = client.run("talk");
    await eventually(() => client.agent.messages.length === 2);
    await post(`${it.url}/runs/t1/commands`, { verb: "interrupt", mode: "now" });
    const [{ id } = { id: "" }] = (await first).outcome.interrupts;
    const second = client.run("go on", { resume: [{ interruptId: id, status: "resolved" }] });
    await eventually(() => client.agent.messages.some(({ content }) => content === "three "));
    await post(`${it.url}/runs/t1/commands`, { verb: "interrupt", mode: "now" });
    const [{ id: next } = { id: "" }] = (await second).outcome.interrupts;
    await client.run(undefined, {
      resume: [{ interruptId: next, status: "resolved", payload: { partial: "discard" } }],
    });
    expect(client.agent.messages.map(({ content }) => content)).toEqual(["talk", "one ", "go on", "Done."]);
  });

  it("redirects a run that works", async () => {
    const gate = pause();
    const it = await served(scripted([["Paris is ", gate], "Rome is warm."]));
    const client = new AguiClient(it, "t1");
    const first = client.run("Paris?");
    await eventually(() => client.agent.messages.length === 2);
    const other = new AguiClient(it, "t1", client.agent.messages);
    other.agent.addMessage({ id: "now", role: "user", content: "Rome instead" });
    const second = await other.run(undefined, { forwardedProps: { when: "now" } });
    expect(second.outcome.type).toBe("success");
    // Also the first one, which learns what the other said.
    expect((await first).outcome.type).toBe("success");
    expect(client.agent.messages.map(({ content }) => content)).toEqual([
      "Paris?",
      "Paris is ",
      "Rome instead",
      "Rome is warm.",
    ]);
  });

  it("has no word twice where an attempt fails in the middle and is made again", async () => {
    const it = await served(
      scripted([
        ["Half of", { type: "reasoning", text: "hm" }, { calls: [{ name: "broken" }], end: "truncated" }],
        { reasoning: "well", text: "The whole of it." },
      ]),
    );
    const client = new AguiClient(it, "t1");
    const { events, outcome } = await client.run("talk");
    expect(outcome.type).toBe("success");
    expect(JSON.stringify(events)).toContain('"Half"');
    expect(client.agent.messages.map(({ content }) => content)).toEqual(["talk", "well", "The whole of it."]);
  });

  it("case 13: is told of a cancel, a failure and a limit as what they are", async () => {
    const gate = pause();
    const it = await served(scripted([["one ", gate]]));
    const reading = new AguiClient(it, "t1").run("talk");
    await eventually(async () => (await it.events("t1")).some(({ type }) => type === "token_stream"));
    await post(`${it.url}/runs/t1/commands`, { verb: "cancel", reason: "no more" });
    expect((await reading).outcome.type).toBe("cancelled");
    const late = new AguiClient(it, "t1");
    expect((await late.run()).outcome.type).toBe("cancelled");

    const failing = await served(scripted([["so ", { error: "the model is gone" }]]));
    const failed = await new AguiClient(failing, "t1").run("talk");
    expect(failed.end).toMatchObject({ type: "RUN_ERROR", message: expect.stringContaining("the model is gone") });

    const limited = await served({ ...scripted([call("broken"), "never"]), maxSteps: 1 });
    const client = new AguiClient(limited, "t1");
    const { outcome } = await client.run("talk");
    expect(outcome.interrupts).toMatchObject([{ reason: "rubato:limit", metadata: { limit: { kind: "max_steps" } } }]);
  });

  it("is told what is not heeded, keeps its own state, and may send the same request twice", async () => {
    const it = await served(scripted(["Hello."]));
    const client = new AguiClient(it, "t1", [{ id: "s", role: "system", content: "Be rude." }]);
    client.agent.state = { mine: 1 };
    const tools = [{ name: "page", description: "of the client", parameters: {} }];
    client.agent.addMessage({ id: "u1", role: "user", content: "hi" });
    await client.agent.runAgent({ tools, context: [{ description: "a", value: "b" }] });
    const ignored = (await client.last()).filter(({ name }) => name === "rubato.ignored");
    expect(ignored.map(({ value }) => value)).toMatchObject([
      { field: "tools" },
      { field: "context" },
      { field: "messages" },
    ]);
    expect(client.agent.state).toMatchObject({ mine: 1, rubato: { status: "done" } });
    const before = await it.events("t1");
    const { outcome } = await client.run();
    expect(outcome.type).toBe("success");
    expect(await it.events("t1")).toEqual(before);
  });

  it("is ended validly by a shutdown and after its time, and can come again", async () => {
    const clock = manualClock();
    const [gate, other] = [pause(), pause()];
    const it = await served(
      scripted([
        ["one ", gate, "two"],
        ["three ", other],
      ]),
      { clock, maxConnectionMs: 1_000 },
    );
    const client = new AguiClient(it, "t1");
    client.agent.addMessage({ id: "u1", role: "user", content: "talk" });
    const reading = client.agent.runAgent().catch((error: unknown) => error);
    await eventually(() => client.agent.messages.length === 2);
    clock.advance(1_000);
    await reading;
    expect((await client.last()).at(-1)).toMatchObject({ type: "RUN_ERROR", code: "max_connection" });
    gate.open();
    expect((await client.run()).outcome.type).toBe("success");
    expect(client.agent.messages.map(({ content }) => content)).toEqual(["talk", "one two"]);

    const last = client.agent.runAgent.bind(client.agent);
    client.agent.addMessage({ id: "u2", role: "user", content: "more" });
    const ending = last();
    await eventually(() => client.agent.messages.length === 4);
    await it.server.close();
    await ending;
    expect((await client.last()).at(-1)).toMatchObject({
      outcome: { type: "interrupt", interrupts: [{ reason: "rubato:interrupted" }] },
    });
  });

  it("is refused before the stream, with a code and a sentence", async () => {
    const gate = pause();
    const it = await served(scripted([["one ", gate]]), { limits: { bodyBytes: 20_000, runs: 1 } });
    const base = { threadId: "t1", runId: "a", messages: [{ id: "u", role: "user", content: "hi" }] };
    const refusals: [unknown, number, string][] = [
      [{ ...base, messages: [] }, 400, "no_user_message"],
      [{ ...base, messages: [{ id: "a", role: "assistant", content: "x" }] }, 400, "no_user_message"],
      [{ ...base, messages: [{ id: "u", role: "user", content: " " }] }, 400, "unsupported_content"],
      [
        { ...base, messages: [{ id: "u", role: "user", content: [{ type: "image", source: {} }] }] },
        400,
        "unsupported_content",
      ],
      [{ ...base, messages: [{ id: "start", role: "user", content: "x" }] }, 400, "invalid_request"],
      [{ ...base, threadId: "../etc" }, 400, "invalid_request"],
      [{ ...base, threadId: "__proto__/x\n" }, 400, "invalid_request"],
      [{ threadId: "t1" }, 400, "invalid_request"],
      [[], 400, "invalid_request"],
      [{ ...base, state: "x".repeat(20_000) }, 413, "too_large"],
    ];
    for (const [body, status, code] of refusals) {
      const answer = await post(`${it.url}/agui`, body);
      expect([status, codeOf(await answer.text())]).toEqual([answer.status, code]);
    }
    const malformed = await raw(`${it.url}/agui`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{",
    });
    expect([malformed.status, codeOf(malformed.body)]).toEqual([400, "invalid_json"]);
    const form = await raw(`${it.url}/agui`, {
      method: "POST",
      headers: { "content-type": "text/plain" },
      body: JSON.stringify(base),
    });
    expect(form.status).toBe(415);
    expect((await post(`${it.url}/agui/nobody`, base)).status).toBe(400);
    expect(await it.log.head("t1")).toMatchObject({ seq: 0 });

    const begun = await post(`${it.url}/agui/test`, {
      ...base,
      messages: [{ id: "u", role: "user", content: [{ type: "text", text: "hi" }] }],
    });
    expect(begun.headers.get("content-type")).toContain("text/event-stream");
    const full = await post(`${it.url}/agui`, { ...base, threadId: "t2" });
    expect([full.status, codeOf(await full.text())]).toEqual([429, "too_many_runs"]);
    const other = await post(`${it.url}/agui/nobody`, base);
    expect([other.status, codeOf(await other.text())]).toEqual([409, "other_agent"]);
    const changed = await post(`${it.url}/agui`, { ...base, messages: [{ id: "u", role: "user", content: "ho" }] });
    expect([changed.status, codeOf(await changed.text())]).toEqual([409, "message_changed"]);
    gate.open();
    expect(framesOf(await begun.text()).at(-1)).toMatchObject({ type: "RUN_FINISHED" });
  });

  it("is let in as everywhere: token, host, origin, and what may be done", async () => {
    const token = "a-token-of-sixteen-and-more";
    const it = await served(scripted(["Hello.", "Again."]), {
      token,
      authorize: (_request, { action }) => action !== "send",
    });
    const body = (id: string) => ({ threadId: "t1", runId: "a", messages: [{ id, role: "user", content: "hi" }] });
    expect((await post(`${it.url}/agui`, body("u1"))).status).toBe(401);
    const authorization = `Bearer ${token}`;
    const evil = await post(`${it.url}/agui`, body("u1"), { authorization, origin: "https://evil.example" });
    expect(evil.status).toBe(403);
    const begun = await post(`${it.url}/agui`, body("u1"), { authorization });
    expect(framesOf(await begun.text()).at(-1)).toMatchObject({ type: "RUN_FINISHED" });
    const said = await post(`${it.url}/agui`, body("u2"), { authorization });
    expect([said.status, codeOf(await said.text())]).toEqual([403, "forbidden"]);
    // What it may do it may: see the run.
    const seen = await post(`${it.url}/agui`, body("u1"), { authorization });
    expect(framesOf(await seen.text()).at(-1)).toMatchObject({ outcome: { type: "success" } });
  });

  it("case 35: gets each event of the run once, its seq as the id of the last that it led to", async () => {
    const it = await served();
    const answer = await post(`${it.url}/agui`, {
      threadId: "t1",
      runId: "a",
      messages: [{ id: "u", role: "user", content: "hi" }],
    });
    const ids = [...(await answer.text()).matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id));
    const run = await it.agent.open("t1");
    expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b));
    expect(ids.at(-1)).toBe(run.durableSeq);
  });
});
