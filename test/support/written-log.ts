import { memoryLog, type EventLog } from "rubato";
import type { Event } from "rubato/machines";

/** A log that holds these events as one finished run, owned by nobody, whether they make sense or not. */
export async function logOf(events: readonly Event[], runId = "r"): Promise<EventLog> {
  const log = memoryLog();
  await log.append(runId, { epoch: 1, events: events.map((event) => ({ ...event, runId })) });
  await log.release(runId, 1);
  return log;
}

/** A memory log whose reads answer these events, as a damaged or foreign store might. */
export function logReading(events: readonly Event[], seq = events.at(-1)?.seq ?? 0): EventLog {
  return {
    ...memoryLog(),
    head: () => ({ seq, epoch: 1, owned: false }),
    read: (_runId, { after, limit }) => events.filter((event) => event.seq > after).slice(0, limit),
  };
}

/** A conversation of many short answers: `turns` times an input, `tokens` tokens, the message, done. */
export function longRun(turns: number, tokens: number): Event[] {
  return [...longEvents(turns, tokens)];
}

/** The same one by one, for runs that are too long to have twice. */
export function* longEvents(turns: number, tokens: number): Generator<Event, void, undefined> {
  let seq = 0;
  const place = (): { seq: number; timestamp: number; runId: string } => {
    seq++;
    return { seq, timestamp: 1_700_000_000_000 + seq, runId: "r" };
  };
  const usage = { inputTokens: 0, outputTokens: 0, requests: 0, unknownRequests: 0 };
  const agent = { name: "long", instructions: "", tools: [] };
  const limits = { maxSteps: 10 };
  yield { ...place(), type: "run_start", data: { schema: 1, reducer: 1, chartHash: "", agent, model: "m", limits } };
  for (let step = 1; step <= turns; step++) {
    const id = `i${step}`;
    const messageId = `m${step}`;
    yield { ...place(), type: "user_input", data: { id, text: "go", when: step === 1 ? "start" : "step" } };
    yield { ...place(), type: "input_delivered", data: { id, delivered: true, queue: "step", step } };
    yield { ...place(), type: "thinking", data: { step, attempt: 1, messageId, model: "m" } };
    for (let index = 0; index < tokens; index++) {
      const data = { kind: "text", text: "token ", messageId, attempt: 1, offset: index * 6 } as const;
      yield { ...place(), type: "token_stream", data };
    }
    const text = "token ".repeat(tokens);
    yield {
      ...place(),
      type: "message",
      data: { messageId, step, attempt: 1, finish: "stop", text, calls: [], usage: "unknown" },
    };
    // A reducer that nobody knows: its hashes say nothing here.
    yield { ...place(), type: "done", data: { output: text, usage, steps: step, stateHash: "", reducer: 99 } };
  }
}
