import { initialState, step, type AgentState, type Draft, type Event } from "rubato/machines";

/** Makes an event of a draft, for charts and steps that are driven by hand. */
export function eventOf(draft: Draft, seq = 1): Event {
  return { seq, timestamp: 0, runId: "r", ...draft };
}

/** The state after these drafts, each of which must be accepted. */
export function drive(...drafts: readonly Draft[]): AgentState {
  let state = initialState();
  for (const draft of drafts) {
    const result = step(state, eventOf(draft, state.seq + 1));
    if (!result.accepted) throw new Error(`${draft.type}: ${result.reason} in ${state.value}`);
    state = result.state;
  }
  return state;
}

const rest = {
  usage: { inputTokens: 0, outputTokens: 0, requests: 0, unknownRequests: 0 },
  steps: 0,
  stateHash: "",
  reducer: 1,
};
const call = (index: number, step: number) => ({
  callId: `${step}.${index}`,
  providerCallId: "",
  name: "tool",
  args: "{}",
});

const phases = ["complete", "awaiting_approval", "refused", "ready", "running", "orphaned"] as const;
const finishes = ["stop", "tool_calls", "length", "interrupted", "truncated"] as const;

/** One event for each thing that a guard of the charts can tell apart. */
export function alphabet(step = 1): Draft[] {
  return [
    {
      type: "run_start",
      data: {
        schema: 1,
        reducer: 1,
        chartHash: "",
        agent: { name: "a", instructions: "", tools: [] },
        model: "m",
        limits: { maxSteps: 2 },
      },
    },
    { type: "owner", data: { epoch: 2, who: "test", why: "resume", recoveries: 1 } },
    { type: "owner", data: { epoch: 2, who: "test", why: "resume", recoveries: 5 } },
    { type: "gap", data: { from: 1, to: 1, digest: "" } },
    ...(["start", "now", "step", "done"] as const).map((when): Draft => ({
      type: "user_input",
      data: { id: when, text: "text", when },
    })),
    { type: "thinking", data: { step, attempt: 1, messageId: `m${step}`, model: "m" } },
    { type: "thinking", data: { step: step + 1, attempt: 1, messageId: `m${step + 1}`, model: "m" } },
    { type: "token_stream", data: { kind: "text", text: "t", messageId: `m${step}`, attempt: 1, offset: 0 } },
    { type: "tool_call_delta", data: { messageId: `m${step}`, attempt: 1, index: 0, callId: `${step}.0`, args: "" } },
    ...finishes.flatMap((finish) =>
      [0, 1, 2].map((count): Draft => ({
        type: "message",
        data: {
          messageId: `m${step}`,
          step,
          attempt: 1,
          finish,
          text: "t",
          calls: Array.from({ length: count }, (_, index) => call(index, step)),
          usage: "unknown",
        },
      })),
    ),
    ...(["none", "required"] as const).map((approval): Draft => ({
      type: "tool_call",
      data: { callId: `${step}.0`, providerCallId: "", name: "tool", args: {}, approval },
    })),
    { type: "approval_request", data: { callId: `${step}.0`, argsHash: "" } },
    { type: "approval", data: { callId: `${step}.0`, decision: "approve", by: "user" } },
    { type: "approval", data: { callId: `${step}.0`, decision: "reject", by: "user" } },
    { type: "tool_start", data: { callId: `${step}.0`, attempt: 1, name: "tool", idempotencyKey: "" } },
    { type: "tool_start", data: { callId: `${step}.0`, attempt: 2, name: "tool", idempotencyKey: "" } },
    ...phases.map((from): Draft => ({
      type: "tool_result",
      data: { callId: `${step}.0`, attempt: 1, outcome: "error", from },
    })),
    { type: "tool_result", data: { callId: `${step}.0`, attempt: 1, outcome: "ok", from: "running", late: true } },
    { type: "interrupt", data: { by: "user", reason: "", mode: "step" } },
    { type: "interrupt", data: { by: "user", reason: "", mode: "now" } },
    { type: "interrupt", data: { by: "user", reason: "", mode: "now", cancel: true } },
    { type: "interrupt", data: { by: "input", reason: "", mode: "now", redirect: "now" } },
    {
      type: "interrupted",
      data: { by: "user", reason: "", mode: "now", where: "", step: 1, keptChars: 0, latencyMs: 0, ...rest },
    },
    { type: "resume", data: { by: "user", partial: "keep" } },
    { type: "resume", data: { by: "user", partial: "keep", budget: { tokens: 1 } } },
    ...(["step", "done"] as const).flatMap((queue) =>
      [true, false].map((delivered): Draft => ({ type: "input_delivered", data: { id: queue, delivered, queue } })),
    ),
    { type: "retry", data: { step, attempt: 2, delayMs: 1, reason: "" } },
    { type: "retry_due", data: { step, attempt: 2 } },
    { type: "deadline", data: { name: "total" } },
    { type: "error", data: { source: "model", code: "model", severity: "high", retryable: false, message: "" } },
    { type: "error", data: { source: "background", code: "x", severity: "low", retryable: false, message: "" } },
    { type: "limit", data: { kind: "max_steps", used: 2, max: 2, raise: "" } },
    { type: "limit", data: { kind: "tokens", used: 2, max: 2, raise: "" } },
    { type: "done", data: { output: "", ...rest } },
    { type: "failed", data: { error: { code: "x", message: "" }, ...rest } },
    { type: "cancelled", data: { by: "user", reason: "", ...rest } },
  ];
}
