import { describe, expect, it } from "vitest";
import { respond, step, type Command, type Draft } from "rubato/machines";
import { AgentState } from "../../machines/state.ts";
import { alphabet, drive, eventOf } from "../support/alphabet.ts";

function draft(type: Draft["type"], wanted: (draft: Draft) => boolean = () => true): Draft {
  const found = alphabet().find((candidate) => candidate.type === type && wanted(candidate));
  if (found === undefined) throw new Error(`no ${type} in the alphabet`);
  return found;
}

const rest = {
  usage: { inputTokens: 0, outputTokens: 0, requests: 0, unknownRequests: 0 },
  steps: 1,
  stateHash: "",
  reducer: 1,
};
const start = draft("run_start");
const input: Draft = { type: "user_input", data: { id: "start", text: "hi", when: "start" } };
const heard: Draft = { type: "input_delivered", data: { id: "start", delivered: true, queue: "step", step: 1 } };
const begun = [start, input, heard, draft("thinking")];
const token = draft("token_stream");
const answer = draft(
  "message",
  ({ type, data }) => type === "message" && data.finish === "stop" && data.calls.length === 0,
);
const asks = draft(
  "message",
  ({ type, data }) => type === "message" && data.finish === "tool_calls" && data.calls.length === 1,
);
const ready = draft("tool_call", ({ type, data }) => type === "tool_call" && data.approval === "none");
const gated = draft("tool_call", ({ type, data }) => type === "tool_call" && data.approval === "required");
const toolStart = draft("tool_start");
const stop: Draft = { type: "interrupt", data: { by: "user", reason: "", mode: "step" } };
const stopNow: Draft = { type: "interrupt", data: { by: "user", reason: "", mode: "now" } };
const cancelling: Draft = { type: "interrupt", data: { by: "user", reason: "", mode: "now", cancel: true } };
const interrupted: Draft = {
  type: "interrupted",
  data: { by: "user", reason: "", mode: "now", where: "", step: 1, keptChars: 0, latencyMs: 0, ...rest },
};
const modelError = draft("error", ({ type, data }) => type === "error" && data.source === "model");
const acting = [...begun, asks, ready, toolStart];

const states = {
  idle: [start],
  preparing: [start, input],
  requesting: begun,
  streaming: [...begun, token],
  "streaming, stop requested": [...begun, token, stop],
  backoff: [...begun, modelError, draft("retry")],
  executing: acting,
  "executing, stop requested": [...acting, stop],
  "waiting for approval": [...begun, asks, gated, draft("approval_request")],
  draining: [...acting, stopNow],
  "draining, cancelling": [...acting, cancelling],
  "draining, resume recorded": [...acting, stopNow, draft("resume")],
  paused: [...begun, stopNow, interrupted],
  done: [...begun, answer, { type: "done", data: { output: "t", ...rest } }],
  failed: [...begun, modelError, { type: "failed", data: { error: { code: "x", message: "" }, ...rest } }],
  cancelled: [...begun, cancelling, { type: "cancelled", data: { by: "user", reason: "", ...rest } }],
} satisfies Record<string, readonly Draft[]>;

const commands = {
  "interrupt step": { type: "interrupt", by: "user", reason: "", mode: "step" },
  "interrupt now": { type: "interrupt", by: "user", reason: "", mode: "now" },
  resume: { type: "resume", by: "user", partial: "keep" },
  "resume text": { type: "resume", by: "user", partial: "keep", input: { id: "i", text: "on" } },
  "send now": { type: "send", id: "s", text: "x", when: "now" },
  "send step": { type: "send", id: "s", text: "x", when: "step" },
  "send done": { type: "send", id: "s", text: "x", when: "done" },
  cancel: { type: "cancel", by: "user", reason: "" },
  approve: { type: "approve", by: "user", callId: "1.0" },
  reject: { type: "reject", by: "user", callId: "1.0", reason: "no" },
} satisfies Record<string, Command>;

type CommandName = keyof typeof commands;
const I = "interrupt";
const U = "user_input";

/** P19: every state has one clear answer to every command: the events that it records, or `no: reason`. `-` is accepted with nothing new. */
const expected: Record<keyof typeof states, Record<CommandName, string>> = {
  idle: row("no: not_started", "no: not_started", "no: not_started", "no: not_started", U, U, U, "cancelled", "no"),
  preparing: row(I, I, "no: running", "no: running", `${U} ${I}`, U, U, I, "no"),
  requesting: row(I, I, "no: running", "no: running", `${U} ${I}`, U, U, I, "no"),
  streaming: row(I, I, "no: running", "no: running", `${U} ${I}`, U, U, I, "no"),
  "streaming, stop requested": row("-", I, "resume", `resume ${U}`, `${U} ${I}`, U, U, I, "no"),
  backoff: row(I, I, "no: running", "no: running", `${U} ${I}`, U, U, I, "no"),
  executing: row(I, I, "no: running", "no: running", `${U} ${I}`, U, U, I, "no"),
  "executing, stop requested": row("-", I, "resume", `resume ${U}`, `${U} ${I}`, U, U, I, "no"),
  "waiting for approval": row(I, I, "no: running", "no: running", `${U} ${I}`, U, U, I, "approval"),
  draining: row("-", "-", "resume", `resume ${U}`, U, U, U, I, "no"),
  "draining, cancelling": all("no: cancelling"),
  "draining, resume recorded": row(I, I, "no: already_resuming", "no: already_resuming", U, U, U, I, "no"),
  paused: row(
    "no: already_interrupted",
    "no: already_interrupted",
    "resume",
    `resume ${U}`,
    `${U} resume`,
    `${U} resume`,
    `${U} resume`,
    "cancelled",
    "no",
  ),
  done: row("no: done", "no: done", "no: done", "no: done", U, U, U, "no: done", "no"),
  failed: row("no: failed", "no: failed", "resume", `resume ${U}`, U, U, U, "cancelled", "no"),
  cancelled: all("no: cancelled"),
};

function row(...answers: readonly string[]): Record<CommandName, string> {
  const [
    step = "",
    now = "",
    resume = "",
    resumeText = "",
    sendNow = "",
    sendStep = "",
    sendDone = "",
    cancel = "",
    approval = "",
  ] = answers;
  const approvals = approval === "no" ? "no: not_waiting" : approval;
  return {
    "interrupt step": step,
    "interrupt now": now,
    resume,
    "resume text": resumeText,
    "send now": sendNow,
    "send step": sendStep,
    "send done": sendDone,
    cancel,
    approve: approvals,
    reject: approvals,
  };
}

function all(answer: string): Record<CommandName, string> {
  return row(answer, answer, answer, answer, answer, answer, answer, answer, "no");
}

describe.each(Object.entries(states))("in the state %s", (name, drafts) => {
  const state = drive(...drafts);
  const answers: Readonly<Record<string, Readonly<Record<string, string>>>> = expected;

  it.each(Object.entries(commands))("%s has its one answer (P19)", (commandName, command) => {
    const answer = respond(state, command);
    const text = answer.accepted ? answer.drafts.map((draft) => draft.type).join(" ") || "-" : `no: ${answer.reason}`;
    expect(text).toBe(answers[name]?.[commandName]);
  });

  it.each(Object.entries(commands))("what %s records is accepted event by event", (_name, command) => {
    const answer = respond(state, command);
    let after = state;
    for (const draft of answer.accepted ? answer.drafts : []) {
      const result = step(after, eventOf(draft, after.seq + 1));
      expect(result.accepted ? "" : `${draft.type}: ${result.reason}`).toBe("");
      after = result.state;
    }
  });
});

describe("the finer points of commands", () => {
  it("the same input id twice is one input, in every state that takes input", () => {
    for (const [name, drafts] of Object.entries(states)) {
      if (name.includes("cancel")) continue;
      const state = drive(...drafts);
      if (state.inputs.length === 0 && state.turn === 0) continue;
      expect(respond(state, { type: "send", id: "start", text: "again", when: "now" })).toEqual({
        accepted: true,
        drafts: [],
        seq: 2,
      });
    }
  });

  it("a budget must be raised to resume; a send meanwhile is recorded and waits", () => {
    const atLimit = drive(...begun, stopNow, interrupted);
    const { context } = atLimit.core;
    expect(context.limit).toBe("none");
    const limit = { kind: "output_tokens", used: 10, max: 10, raise: "" };
    const control = { ...atLimit.core.control, limits: { outputTokens: 10 } };
    const usage = { ...atLimit.core.usage, outputTokens: 10 };
    const limited = new AgentState(
      { ...atLimit.core, context: { ...context, limit: "budget" }, limit, control, usage },
      atLimit.seq,
      undefined,
    );
    expect(respond(limited, commands.resume)).toEqual({ accepted: false, reason: "limit" });
    expect(respond(limited, { ...commands.resume, budget: { outputTokens: 11 } })).toMatchObject({ accepted: true });
    expect(respond(limited, { ...commands.resume, budget: { outputTokens: 10 } }), "not enough").toEqual({
      accepted: false,
      reason: "limit",
    });
    expect(respond(limited, { ...commands.resume, budget: { inputTokens: 99 } }), "another one").toEqual({
      accepted: false,
      reason: "limit",
    });
    expect(respond(limited, commands["send now"])).toMatchObject({ accepted: true, drafts: [{ type: "user_input" }] });
    const refused = step(limited, eventOf(draft("resume"), limited.seq + 1));
    expect(refused.accepted).toBe(false);

    // On the way to that rest, where only a process that died can have left it, whoever resumes takes it there: it rests at the limit again.
    const { core } = drive(...begun, stopNow);
    const dying = new AgentState(
      { ...core, context: { ...core.context, limit: "budget" }, limit, control, usage },
      limited.seq,
      undefined,
    );
    expect(dying.value).toBe("interrupted.draining");
    expect(respond(dying, commands.resume)).toMatchObject({ accepted: true });
    expect(respond(dying, { ...commands.resume, budget: { outputTokens: 11 } })).toMatchObject({ accepted: true });
  });

  it("an interrupt in backoff and while waiting for approval acts at once in both modes", () => {
    for (const name of ["backoff", "waiting for approval"] as const) {
      for (const interrupt of [stop, stopNow]) {
        const state = drive(...states[name], interrupt);
        expect(state.value, `${name} ${JSON.stringify(interrupt.data)}`).toBe("interrupted.draining");
      }
    }
  });

  it("cancel refuses every waiting input before `cancelled`", () => {
    const state = drive(
      ...begun,
      { type: "user_input", data: { id: "later", text: "x", when: "done" } },
      stopNow,
      interrupted,
    );
    const answer = respond(state, commands.cancel);
    expect(answer.accepted && answer.drafts.map((draft) => draft.type)).toEqual(["input_delivered", "cancelled"]);
  });
});
