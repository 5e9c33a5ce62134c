import { lastAssistantMessageIsCompleteWithApprovalResponses as complete } from "ai";
import { describe, expect, it } from "vitest";
import { pause, scriptedModel } from "rubato";
import { GOLDEN_ANSWER } from "../support/golden-run.ts";
import { leftBehind } from "../support/left-behind.ts";
import { manualClock } from "../support/manual-clock.ts";
import { framesOf } from "./agui-client.ts";
import { call, scripted } from "./protocol-agents.ts";
import { codeOf, eventually, object, post, raw, served } from "./served.ts";
import { textOf } from "./ui-check.ts";
import { UiClient } from "./ui-client.ts";

const said = (id: string, text: string) => ({ id, role: "user", parts: [{ type: "text", text }] });

describe("useChat's own client", () => {
  it("gets text, reasoning, parallel calls, data, and an end, and goes on in the same chat", async () => {
    const it = await served();
    const chat = new UiClient(it, "c1");
    await chat.sendMessage({ text: "What is the average temperature?" });
    await chat.last();
    expect([chat.status, chat.error]).toEqual(["ready", undefined]);
    expect(chat.parts).toEqual([
      "step-start",
      "reasoning done",
      "text done",
      "tool-weather output-available",
      "tool-weather output-available",
      "tool-weather output-available",
      "step-start",
      "tool-average output-available",
      "data-averaged",
      "step-start",
      "text done",
    ]);
    expect(textOf(chat.answer)).toContain(GOLDEN_ANSWER);
    expect(chat.answer?.metadata).toEqual({ rubato: { runId: "c1", status: "done" } });
    expect(chat.datas.some(({ type }) => type === "data-rubato-tool-progress")).toBe(true);
    const response = await post(`${it.url}/ui/chat`, { id: "c1", messages: [said("u9", "more")] });
    expect(response.headers.get("x-vercel-ai-ui-message-stream")).toBe("v1");
    await response.text();

    await chat.sendMessage({ text: "And once more?" });
    await chat.last();
    expect(chat.messages.map(({ role }) => role)).toEqual(["user", "assistant", "user", "assistant"]);
    expect(new Set(chat.messages.map(({ id }) => id)).size).toBe(4);
  });

  it("sees a call that fails, and arguments that are not valid", async () => {
    const it = await served(
      scripted([{ calls: [{ name: "broken" }, { name: "refund", args: "{no" }, { name: "nothing" }] }, "It failed."]),
    );
    const chat = new UiClient(it, "c1");
    await chat.sendMessage({ text: "try" });
    await chat.last();
    expect(chat.parts.slice(0, 4)).toEqual([
      "step-start",
      "tool-broken output-error",
      "tool-refund output-error",
      "tool-nothing output-error",
    ]);
    expect(chat.answer?.parts[1]).toMatchObject({ errorText: expect.stringContaining("the disk is full") });
    expect(chat.status).toBe("ready");
  });

  it("case 18: approves and rejects, and the same message goes on", async () => {
    const it = await served(
      scripted([
        {
          calls: [
            { name: "refund", args: { amount: 5 } },
            { name: "refund", args: { amount: 6 } },
          ],
        },
        "Said.",
      ]),
    );
    const chat = new UiClient(it, "c1");
    await chat.sendMessage({ text: "pay" });
    expect((await chat.last()).at(-1)).toMatchObject({ type: "finish", finishReason: "tool-calls" });
    expect(chat.parts).toEqual(["step-start", "tool-refund approval-requested", "tool-refund approval-requested"]);
    const ids = (chat.answer?.parts ?? []).flatMap((part) =>
      "approval" in part && part.approval !== undefined ? [part.approval.id] : [],
    );
    const [first = "", second = ""] = ids;
    await chat.addToolApprovalResponse({ id: first, approved: true });
    await chat.addToolApprovalResponse({ id: second, approved: false, reason: "too much" });
    expect(complete(chat)).toBe(true);
    const before = structuredClone(chat.answer);
    await chat.sendMessage();
    await chat.last(before);
    expect(chat.parts).toEqual([
      "step-start",
      "tool-refund output-available",
      "tool-refund output-denied",
      "step-start",
      "text done",
    ]);
    expect(chat.messages).toHaveLength(2);
    const reasons = (await it.events("c1")).flatMap((event) => (event.type === "approval" ? [event.data.reason] : []));
    expect(reasons).toEqual([undefined, "too much"]);
    // The same answers again: nothing waits for them, and nothing is done twice.
    const messages = [said("said-c1-1", "pay"), before];
    const again = await post(`${it.url}/ui/chat`, { id: "c1", messages });
    expect([again.status, codeOf(await again.text())]).toEqual([409, "not_waiting"]);
  });

  it("may say something else instead of answering", async () => {
    const it = await served(scripted([call("refund", { amount: 5 }), "Fine."]));
    const chat = new UiClient(it, "c1");
    await chat.sendMessage({ text: "pay" });
    await chat.sendMessage({ text: "never mind" });
    expect(textOf(chat.answer)).toBe("Fine.");
    const results = (await it.events("c1")).flatMap((event) =>
      event.type === "tool_result" ? [event.data.outcome] : [],
    );
    expect(results).toEqual(["skipped"]);
  });

  it("case 34 case 35 P24: stop() only leaves; after a reload it has the identical message", async () => {
    const gate = pause();
    const it = await served(scripted([[{ type: "reasoning", text: "hm" }, "one ", gate, "two"]]));
    const chat = new UiClient(it, "c1");
    const sending = chat.sendMessage({ text: "talk" });
    const staying = new UiClient(it, "c1");
    await eventually(() => textOf(chat.answer) === "one ");
    await chat.stop();
    await sending;
    expect((await object(await fetch(`${it.url}/runs/c1`)))["status"]).toBe("thinking");
    const resuming = chat.resumeStream();
    const reading = staying.resumeStream();
    await eventually(() => textOf(staying.answer) === "one ");
    gate.open();
    await Promise.all([resuming, reading]);
    await staying.last();
    expect(chat.parts).toEqual(["step-start", "reasoning done", "text done"]);
    expect(textOf(chat.answer)).toBe("one two");
    expect(staying.answer).toEqual(chat.answer);
    // It rests: nothing to resume.
    await chat.resumeStream();
    expect(chat.statuses.at(-1)).toBe(204);
    // The first request again, which may have been lost: the same message, and nothing said twice.
    const before = await it.events("c1");
    const again = new UiClient(it, "c1");
    await again.sendMessage({ text: "talk" });
    expect(again.answer).toEqual(chat.answer);
    expect(await it.events("c1")).toEqual(before);
  });

  it("is interrupted by a command, and regenerates or goes on", async () => {
    const [gate, other] = [pause(), pause()];
    const it = await served(scripted([["one ", gate], ["two ", other], "Three."]));
    const chat = new UiClient(it, "c1");
    const sending = chat.sendMessage({ text: "talk" });
    await eventually(() => textOf(chat.answer) === "one ");
    await post(`${it.url}/runs/c1/commands`, { verb: "interrupt", mode: "now", reason: "enough" });
    await sending;
    expect((await chat.last()).at(-1)).toMatchObject({ type: "abort", reason: "It was stopped by user: enough." });
    expect(chat.answer?.metadata).toMatchObject({ rubato: { status: "interrupted" } });
    expect([chat.status, chat.error]).toEqual(["ready", undefined]);

    const again = chat.regenerate();
    await eventually(() => textOf(chat.answer) === "two ");
    await post(`${it.url}/runs/c1/commands`, { verb: "interrupt", mode: "now" });
    await again;
    await chat.sendMessage({ text: "go on" });
    expect(textOf(chat.answer)).toBe("Three.");
    const heard = (await it.agent.open("c1")).state.messages.map(({ content }) => content);
    expect(heard).toEqual(["talk", "two ", "go on", "Three."]);
    await chat.regenerate();
    expect(chat.error?.message).toContain("not_regenerated");
  });

  it("P21 whose server died in the middle is told that it was stopped, and regenerates or goes on", async () => {
    const gate = pause();
    const died = await served(scripted([["one ", gate]]));
    const chat = new UiClient(died, "c1");
    const sending = chat.sendMessage({ text: "talk" });
    await eventually(() => textOf(chat.answer) === "one ");
    const events = await died.events("c1");
    await died.agent.close();
    await sending;
    for (const goesOn of ["regenerate", "send"] as const) {
      const next = await served({ ...scripted(["Two."]), log: await leftBehind(events) });
      const again = new UiClient(next, "c1", { messages: [...chat.messages] });
      // What a page asks that was reloaded: nothing is being made.
      await again.resumeStream();
      expect(again.statuses).toEqual([204]);
      if (goesOn === "regenerate") await again.regenerate();
      else await again.sendMessage({ parts: [{ type: "text", text: "go on" }], id: "more" });
      expect([again.error, again.status]).toEqual([undefined, "ready"]);
      expect(textOf(again.answer)).toContain("Two.");
      expect((await next.agent.open("c1")).state.status).toBe("done");
    }
  });

  it("redirects a run that works, in the same message", async () => {
    const gate = pause();
    const it = await served(scripted([["Paris is ", gate], "Rome is warm."]));
    const chat = new UiClient(it, "c1");
    const sending = chat.sendMessage({ text: "Paris?" });
    await eventually(() => textOf(chat.answer) === "Paris is ");
    const other = new UiClient(it, "c1", { messages: [...chat.messages], body: { when: "now" } });
    await other.sendMessage({ parts: [{ type: "text", text: "Rome instead" }], id: "now" });
    await sending;
    await chat.last();
    expect(textOf(chat.answer)).toBe("Paris is Rome is warm.");
    expect(chat.parts).toEqual(["step-start", "text done", "data-rubato-input", "step-start", "text done"]);
  });

  it("marks the words of an attempt that is made again, and later readers never see them", async () => {
    const gate = pause();
    const steps = [
      ["Half of", gate, { calls: [{ name: "broken" }], end: "truncated" as const }],
      { reasoning: "well", text: "The whole of it." },
    ];
    const it = await served(scripted(steps));
    const chat = new UiClient(it, "c1");
    const sending = chat.sendMessage({ text: "talk" });
    await eventually(() => textOf(chat.answer) === "Half of");
    gate.open();
    await sending;
    await chat.last();
    expect(textOf(chat.answer)).toBe("The whole of it.");
    expect(chat.answer?.parts.find(({ type }) => type === "text")).toMatchObject({
      text: "Half of",
      providerMetadata: { rubato: { superseded: true } },
    });
    const later = new UiClient(it, "c1");
    await later.sendMessage({ text: "talk" });
    expect(JSON.stringify(later.messages)).not.toContain("Half");
    expect(textOf(later.answer)).toBe("The whole of it.");

    const careful = await served(scripted(steps));
    const whole = new UiClient(careful, "c1", { query: "?whole=true" });
    await whole.sendMessage({ text: "talk" });
    await whole.last();
    expect(JSON.stringify(whole.messages)).not.toContain("Half");
    expect(whole.parts.filter((part) => !part.startsWith("data"))).toEqual([
      "step-start",
      "reasoning done",
      "text done",
    ]);
  });

  it("case 13: is told of a cancel, a failure and a limit as what they are", async () => {
    const gate = pause();
    const it = await served(scripted([["one ", gate]]));
    const chat = new UiClient(it, "c1");
    const sending = chat.sendMessage({ text: "talk" });
    await eventually(() => textOf(chat.answer) === "one ");
    await post(`${it.url}/runs/c1/commands`, { verb: "cancel" });
    await sending;
    expect((await chat.last()).at(-1)).toMatchObject({ type: "abort", reason: "It was cancelled." });
    expect(chat.answer?.metadata).toMatchObject({ rubato: { status: "cancelled" } });

    const failing = await served(scripted([["so ", { error: "the model is gone" }], "Now it works."]));
    const failed = new UiClient(failing, "c1");
    await failed.sendMessage({ text: "talk" });
    await failed.last();
    expect([failed.status, failed.error?.message]).toEqual(["error", expect.stringContaining("the model is gone")]);
    await failed.regenerate();
    expect([failed.status, textOf(failed.answer)]).toEqual(["ready", "Now it works."]);

    const limited = await served({ ...scripted([call("broken"), "never"]), maxSteps: 1 });
    const stopped = new UiClient(limited, "c1");
    await stopped.sendMessage({ text: "talk" });
    expect((await stopped.last()).at(-1)?.type).toBe("abort");
    expect(stopped.answer?.parts.at(-1)).toMatchObject({ type: "data-rubato-limit", data: { kind: "max_steps" } });
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
    const chat = new UiClient(it, "c1");
    const sending = chat.sendMessage({ text: "talk" });
    await eventually(() => textOf(chat.answer) === "one ");
    clock.advance(1_000);
    await sending;
    await chat.last();
    expect(chat.answer?.metadata).toMatchObject({ rubato: { status: "working", ended: "max_connection" } });
    const resuming = chat.resumeStream();
    await eventually(() => chat.statuses.length === 2);
    gate.open();
    await resuming;
    expect(textOf(chat.answer)).toBe("one two");

    const last = chat.sendMessage({ text: "more" });
    await eventually(() => textOf(chat.answer) === "three ");
    await it.server.close();
    await last;
    await chat.last();
    expect(chat.answer?.metadata).toMatchObject({ rubato: { status: "interrupted" } });
  });

  it("is refused before the stream, with a code and a sentence", async () => {
    const gate = pause();
    const it = await served(scripted([["one ", gate], "More."]), { limits: { bodyBytes: 20_000, runs: 1 } });
    const base = { id: "c1", messages: [said("u1", "hi")], trigger: "submit-message" };
    const refusals: [unknown, number, string][] = [
      [{ ...base, messages: [] }, 400, "invalid_request"],
      [{ ...base, messages: [{ id: "a", role: "assistant", parts: [] }] }, 400, "no_user_message"],
      [{ ...base, messages: [said("u1", " ")] }, 400, "unsupported_content"],
      [
        {
          ...base,
          messages: [
            {
              id: "u1",
              role: "user",
              parts: [
                { type: "text", text: "x" },
                { type: "file", url: "data:," },
              ],
            },
          ],
        },
        400,
        "unsupported_content",
      ],
      [{ ...base, messages: [said("start", "x")] }, 400, "invalid_request"],
      [{ ...base, id: "../etc" }, 400, "invalid_request"],
      [{ ...base, trigger: "other" }, 400, "invalid_request"],
      [{ ...base, agent: "nobody" }, 400, "invalid_request"],
      [null, 400, "invalid_request"],
      [{ ...base, more: "x".repeat(20_000) }, 413, "too_large"],
    ];
    for (const [body, status, code] of refusals) {
      const answer = await post(`${it.url}/ui/chat`, body);
      expect([answer.status, codeOf(await answer.text())]).toEqual([status, code]);
    }
    const form = await raw(`${it.url}/ui/chat`, {
      method: "POST",
      headers: { "content-type": "text/plain" },
      body: JSON.stringify(base),
    });
    expect(form.status).toBe(415);
    expect(await it.log.head("c1")).toMatchObject({ seq: 0 });
    expect((await fetch(`${it.url}/ui/chat/c1/stream`)).status).toBe(404);

    const begun = await post(`${it.url}/ui/chat`, base);
    const full = await post(`${it.url}/ui/chat`, { ...base, id: "c2" });
    expect([full.status, codeOf(await full.text())]).toEqual([429, "too_many_runs"]);
    const other = await post(`${it.url}/ui/chat`, { ...base, agent: "nobody" });
    expect([other.status, codeOf(await other.text())]).toEqual([409, "other_agent"]);
    const changed = await post(`${it.url}/ui/chat`, { ...base, messages: [said("u1", "ho")] });
    expect([changed.status, codeOf(await changed.text())]).toEqual([409, "message_changed"]);
    gate.open();
    expect(framesOf(await begun.text()).at(-1)).toMatchObject({ type: "finish" });
    const silent = await post(`${it.url}/ui/chat`, {
      ...base,
      messages: [said("u1", "hi"), { id: "a", role: "assistant", parts: [] }],
    });
    expect([silent.status, codeOf(await silent.text())]).toEqual([400, "no_user_message"]);
  });

  it("begins nothing where there is no room for its stream", async () => {
    const gate = pause();
    const it = await served(scripted([["one ", gate], "Two."]), { limits: { connections: 1 } });
    const begun = await post(`${it.url}/ui/chat`, { id: "c1", messages: [said("u1", "hi")] });
    for (const [path, body] of [
      ["/ui/chat", { id: "c2", messages: [said("u1", "hi")] }],
      ["/agui", { threadId: "c2", runId: "a", messages: [{ id: "u1", role: "user", content: "hi" }] }],
    ] as const) {
      const full = await post(it.url + path, body);
      expect([full.status, codeOf(await full.text())]).toEqual([429, "too_many_connections"]);
    }
    expect(await it.log.head("c2")).toMatchObject({ seq: 0 });
    gate.open();
    await begun.text();
  });

  it("is let in as everywhere, and begins with the history that it brings", async () => {
    const token = "a-token-of-sixteen-and-more";
    const model = scriptedModel(["Hello."]);
    const it = await served({ model, tools: [] }, { token, authorize: (_request, { action }) => action !== "send" });
    const body = (id: string) => ({
      id: "c1",
      messages: [
        said("u0", "before"),
        { id: "a0", role: "assistant", parts: [{ type: "text", text: "yes" }] },
        said(id, "hi"),
      ],
    });
    expect((await post(`${it.url}/ui/chat`, body("u1"))).status).toBe(401);
    expect((await fetch(`${it.url}/ui/chat/c1/stream`)).status).toBe(401);
    const authorization = `Bearer ${token}`;
    expect((await post(`${it.url}/ui/chat`, body("u1"), { authorization, origin: "null" })).status).toBe(403);
    await (await post(`${it.url}/ui/chat`, body("u1"), { authorization })).text();
    expect(model.requests[0]?.messages.map(({ content }) => content)).toEqual(["before", "yes", "hi"]);
    const more = await post(`${it.url}/ui/chat`, body("u2"), { authorization });
    expect([more.status, codeOf(await more.text())]).toEqual([403, "forbidden"]);
  });
});
