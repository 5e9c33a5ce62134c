import { describe, expect, it } from "vitest";
import { shouldInterrupt, statusOf, type Draft, type Status } from "rubato/machines";
import { drive } from "../support/alphabet.ts";

const rest = {
  usage: { inputTokens: 0, outputTokens: 0, requests: 0, unknownRequests: 0 },
  steps: 1,
  stateHash: "",
  reducer: 1,
};
const start: Draft = {
  type: "run_start",
  data: {
    schema: 1,
    reducer: 1,
    chartHash: "",
    agent: { name: "a", instructions: "", tools: [] },
    model: "m",
    limits: { maxSteps: 2 },
  },
};
const input: Draft = { type: "user_input", data: { id: "start", text: "hi", when: "start" } };
const heard: Draft = { type: "input_delivered", data: { id: "start", delivered: true, queue: "step", step: 1 } };
const thinking: Draft = { type: "thinking", data: { step: 1, attempt: 1, messageId: "m1", model: "m" } };
const names = ["look", "read", "look"];

function message(calls: readonly string[]): Draft {
  return {
    type: "message",
    data: {
      messageId: "m1",
      step: 1,
      attempt: 1,
      finish: calls.length === 0 ? "stop" : "tool_calls",
      text: "t",
      calls: calls.map((name, index) => ({ callId: `1.${index}`, providerCallId: "", name, args: "{}" })),
      usage: "unknown",
    },
  };
}

function ready(index: number, approval: "none" | "required" = "none"): Draft {
  const hashed = approval === "none" ? {} : { argsHash: "h" };
  return {
    type: "tool_call",
    data: { callId: `1.${index}`, providerCallId: "", name: names[index] ?? "", args: {}, approval, ...hashed },
  };
}

function begin(index: number): Draft {
  const name = names[index] ?? "";
  return { type: "tool_start", data: { callId: `1.${index}`, attempt: 1, name, idempotencyKey: "" } };
}

function end(index: number): Draft {
  return { type: "tool_result", data: { callId: `1.${index}`, attempt: 1, from: "running", outcome: "ok", output: 1 } };
}

function interrupt(mode: "step" | "now", more: { cancel?: true } = {}): Draft {
  return { type: "interrupt", data: { by: "user", reason: "", mode, ...more } };
}

const request: Draft = { type: "approval_request", data: { callId: "1.0", argsHash: "h" } };
const failed: Draft = { type: "failed", data: { error: { code: "x", message: "" }, ...rest } };
const cancelled: Draft = { type: "cancelled", data: { by: "user", reason: "", ...rest } };
const interrupted: Draft = {
  type: "interrupted",
  data: { by: "user", reason: "", mode: "now", where: "", step: 1, keptChars: 0, latencyMs: 0, ...rest },
};
const modelError: Draft = {
  type: "error",
  data: { source: "model", code: "model", severity: "high", retryable: false, message: "" },
};
const retry: Draft = { type: "retry", data: { step: 1, attempt: 2, delayMs: 1, reason: "" } };
const resume: Draft = { type: "resume", data: { by: "user", partial: "keep" } };
const begun = [start, input, heard, thinking];
const acting = [...begun, message(names), ready(0), ready(1), ready(2)];
const asking = [...begun, message(["look"]), ready(0, "required")];
const stopped = [...begun, interrupt("now"), interrupted];
const answered: readonly Draft[] = [...begun, message([]), { type: "done", data: { output: "t", ...rest } }];

describe("statusOf", () => {
  const places: readonly (readonly [string, readonly Draft[], Status, number, readonly string[]])[] = [
    ["before anything", [], "idle", 0, []],
    ["before the task", [start], "idle", 0, []],
    ["before the first request", [start, input], "thinking", 0, []],
    ["while the model is asked", begun, "thinking", 1, []],
    ["while a failed request waits to be made again", [...begun, modelError, retry], "thinking", 1, []],
    ["with calls of which none began", acting, "acting", 1, []],
    ["with calls that execute", [...acting, begin(0), begin(1)], "acting", 1, ["look", "read"]],
    ["with two calls of one tool", [...acting, begin(0), begin(2)], "acting", 1, ["look", "look"]],
    ["after one of the calls has ended", [...acting, begin(0), begin(1), end(0)], "acting", 1, ["read"]],
    ["while a person is asked", [...asking, request], "waiting", 1, []],
    ["while the step ends after an interrupt", [...acting, begin(1), interrupt("step")], "acting", 1, ["read"]],
    ["while calls are told to stop", [...acting, begin(1), interrupt("now")], "interrupted", 1, ["read"]],
    ["at rest after an interrupt", stopped, "interrupted", 1, []],
    ["after a resume", [...stopped, resume], "thinking", 1, []],
    ["after the answer", answered, "done", 1, []],
    ["after a failure", [...begun, modelError, failed], "failed", 1, []],
    ["after a cancel", [...begun, interrupt("now", { cancel: true }), cancelled], "cancelled", 1, []],
  ];

  it.each(places)("%s", (_name, drafts, status, at, activeTools) => {
    expect(statusOf(drive(...drafts))).toEqual({ status, step: at, activeTools });
  });
});

describe("shouldInterrupt", () => {
  const places: readonly (readonly [string, readonly Draft[], boolean])[] = [
    ["before anything", [], false],
    ["while the model is asked", begun, false],
    ["while tools execute", [...acting, begin(0)], false],
    ["while a person is asked", [...asking, request], false],
    ["before the first request, told to stop at the step boundary", [start, input, interrupt("step")], true],
    ["while the model answers, told to stop at the step boundary", [...begun, interrupt("step")], true],
    ["while tools execute, told to stop at the step boundary", [...acting, begin(0), interrupt("step")], true],
    ["while tools execute, told to stop now", [...acting, begin(0), interrupt("now")], true],
    ["while the model answers, told to cancel", [...begun, interrupt("now", { cancel: true })], true],
    ["told to stop, and to go on before the boundary", [...acting, begin(0), interrupt("step"), resume], true],
    ["at rest after an interrupt", stopped, false],
    ["after a resume", [...stopped, resume], false],
    ["after the answer", answered, false],
  ];

  it.each(places)("%s", (_name, drafts, expected) => {
    expect(shouldInterrupt(drive(...drafts))).toBe(expected);
  });
});
