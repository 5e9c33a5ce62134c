import type { Event } from "rubato/machines";
import { golden } from "./golden.ts";

/** A run of many events, as a person has it who works for a day: steps of tokens, three calls at once, a stop now and then. */
export function longRun(count: number): Event[] {
  const [start, ...opening] = golden("parallel-tools").slice(0, 3);
  if (start?.type !== "run_start") throw new Error("A run begins with run_start.");
  const events: Event[] = [{ ...start, data: { ...start.data, limits: { maxSteps: 1_000_000 } } }, ...opening];
  let time = 1_700_000_000_000;
  let step = 0;
  const add = (type: Event["type"], data: object, cause?: number): number => {
    const seq = events.length + 1;
    time += type === "token_stream" ? 11 : 3;
    const event: unknown = { seq, timestamp: time, runId: "r", type, data, ...(cause === undefined ? {} : { cause }) };
    events.push(asEvent(event));
    return seq;
  };
  while (events.length < count - 200) {
    step++;
    const messageId = `m${step}`;
    const asked = add("thinking", { step, attempt: 1, messageId, model: "scripted" });
    let text = "";
    for (let word = 0; word < 60; word++) {
      const piece = ` word${(step * 7 + word) % 997}`;
      add("token_stream", { kind: "text", text: piece, messageId, attempt: 1, offset: text.length });
      text += piece;
    }
    const calls = ["Paris", "Rome", "Oslo"].map((city, index) => ({
      callId: `${step}.${index}`,
      providerCallId: `call_${index}`,
      name: "weather",
      args: JSON.stringify({ city }),
    }));
    const usage = { inputTokens: 100 + step, outputTokens: 60 };
    const said = add("message", { messageId, step, attempt: 1, finish: "tool_calls", text, calls, usage }, asked);
    const named = calls.map(({ callId, providerCallId, name, args }) =>
      add("tool_call", { callId, providerCallId, name, args: JSON.parse(args), approval: "none" }, said),
    );
    for (const [index, { callId, name }] of calls.entries()) {
      add("tool_start", { callId, attempt: 1, name, idempotencyKey: `r:${callId}` }, named[index]);
    }
    for (const { callId } of calls) add("tool_progress", { callId, attempt: 1, value: "asking" });
    for (const { callId } of calls) {
      add("tool_result", { callId, attempt: 1, outcome: "ok", output: { degrees: step % 30 }, from: "running" });
    }
  }
  const last = golden("parallel-tools").findLast(({ type }) => type === "message");
  if (last?.type !== "message") throw new Error("The golden run has an answer.");
  step++;
  const asked = add("thinking", { step, attempt: 1, messageId: `m${step}`, model: "scripted" });
  const text = "That is all.";
  while (events.length < count - 2) {
    const offset = (events.length - asked) * 2;
    add("token_stream", { kind: "text", text: "x ", messageId: `m${step}`, attempt: 1, offset });
  }
  add("message", { ...last.data, messageId: `m${step}`, step, text, calls: [], finish: "stop" }, asked);
  const rest = { steps: step, stateHash: "", reducer: 1 };
  const usage = { inputTokens: 0, outputTokens: 0, requests: 0, unknownRequests: 0 };
  add("done", { output: text, usage, ...rest });
  return events;
}

function asEvent(value: unknown): Event {
  if (isEvent(value)) return value;
  throw new Error("Not an event.");
}

/** Made here, by hand and alike: what the page makes of it says whether it is right. */
function isEvent(value: unknown): value is Event {
  return typeof value === "object" && value !== null && "seq" in value;
}
