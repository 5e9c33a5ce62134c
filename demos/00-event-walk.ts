// The pure core alone: no model, no tool, no clock. A run is a list of events; step() folds them, one by one, into the state.

import { shouldInterrupt, statusOf } from "rubato";
import { initialState, REDUCER_VERSION, stateHash, step, type AgentState, type Draft } from "rubato/machines";
import { goOn } from "./support/person.ts";
import { gist, say } from "./support/print.ts";

const messageId = "m1";
const call = { callId: "1.0", providerCallId: "call_a", name: "weather" };

// One conversation as it may have been recorded: a question, a tool call, an interrupt while the tool runs, a new instruction, an answer.
const drafts: ((state: AgentState) => Draft)[] = [
  () => ({
    type: "run_start",
    data: {
      schema: 1,
      reducer: REDUCER_VERSION,
      chartHash: "",
      agent: { name: "walk", instructions: "", tools: [] },
      model: "none",
      limits: { maxSteps: 10 },
    },
  }),
  () => ({ type: "user_input", data: { id: "start", text: "How warm is Paris?", when: "start" } }),
  () => ({ type: "input_delivered", data: { id: "start", delivered: true, queue: "step", step: 1 } }),
  () => ({ type: "thinking", data: { step: 1, attempt: 1, messageId, model: "none" } }),
  () => ({ type: "token_stream", data: { kind: "text", text: "I look", messageId, attempt: 1, offset: 0 } }),
  () => ({ type: "token_stream", data: { kind: "text", text: " it up.", messageId, attempt: 1, offset: 6 } }),
  () => ({
    type: "message",
    data: {
      messageId,
      step: 1,
      attempt: 1,
      finish: "tool_calls",
      text: "I look it up.",
      calls: [{ ...call, args: '{"city":"Paris"}' }],
      usage: "unknown",
    },
  }),
  () => ({ type: "tool_call", data: { ...call, args: { city: "Paris" }, approval: "none" } }),
  () => ({ type: "tool_start", data: { callId: "1.0", attempt: 1, name: "weather", idempotencyKey: "walk/1.0" } }),
  () => ({ type: "interrupt", data: { by: "user", reason: "wrong unit", mode: "step" } }),
  () => ({ type: "tool_result", data: { callId: "1.0", attempt: 1, outcome: "ok", from: "running", output: 15 } }),
  () => ({ type: "tool_result", data: { callId: "1.0", attempt: 1, outcome: "ok", from: "running", output: 99 } }),
  (state) => ({
    type: "interrupted",
    data: {
      by: "user",
      reason: "wrong unit",
      mode: "step",
      where: "acting.executing",
      step: 1,
      keptChars: 0,
      latencyMs: 3,
      ...rest(state),
    },
  }),
  () => ({ type: "resume", data: { by: "user", partial: "keep", inputId: "unit" } }),
  () => ({ type: "user_input", data: { id: "unit", text: "In Fahrenheit, please.", when: "step" } }),
  () => ({ type: "input_delivered", data: { id: "unit", delivered: true, queue: "step", step: 2 } }),
  () => ({ type: "thinking", data: { step: 2, attempt: 1, messageId: "m2", model: "none" } }),
  () => ({ type: "token_stream", data: { kind: "text", text: "59 °F.", messageId: "m2", attempt: 1, offset: 0 } }),
  () => ({
    type: "message",
    data: { messageId: "m2", step: 2, attempt: 1, finish: "stop", text: "59 °F.", calls: [], usage: "unknown" },
  }),
  (state) => ({ type: "done", data: { output: state.output, ...rest(state) } }),
];

say(
  "Each event goes through step(). Watch the state, the history and the interrupt check change, and one event being refused.",
);

let state = initialState();
for (const draft of drafts) {
  const event = { ...draft(state), seq: state.seq + 1, timestamp: 1_700_000_000_000 + state.seq, runId: "walk" };
  const result = step(state, event);
  state = result.state;

  const { status, step: at, activeTools } = statusOf(state);
  console.log(`\n${String(event.seq).padStart(2)} ${event.type}: ${gist(event)}`);
  if (!result.accepted) console.log(`   REFUSED (${result.reason}): the state is the very same object`);
  console.log(
    `   state      ${state.value} (status ${status}, step ${at}, tools: ${activeTools.join(", ") || "none"})`,
  );
  console.log(`   effects    ${result.effects.join(", ") || "none"}`);
  console.log(`   history    ${history(state)}`);
  console.log(`   interrupt? ${shouldInterrupt(state) ? "YES, at the next step boundary" : "no"}`);
  await goOn("next event");
}

/** Who said what: what the model would be sent now. It is valid for a provider after every single event. */
function history({ messages }: AgentState): string {
  return messages.map((message) => (message.role === "tool" ? `tool:${message.outcome}` : message.role)).join(" ");
}

function rest(at: AgentState) {
  return { usage: at.usage, steps: at.step, stateHash: stateHash(at), reducer: REDUCER_VERSION };
}
