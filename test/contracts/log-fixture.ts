import type { Event, EventData, Json } from "rubato";

/** Texts that break adapters which build paths, SQL, lines or objects from data. */
export const TEXTS: readonly string[] = [
  "",
  "\u0000",
  "before\u0000after",
  "line\nline\r\nline\r",
  "\u2028 and \u2029",
  "\u007F\u0085\u009F\u001B]52;c;\u0007",
  "\u202E\u200B\uFEFF",
  "\u{1F3B5} \u{1D11E} e\u0301",
  "'; drop table events; --",
  '"}\n{"seq":1}',
  "__proto__",
  "%s %d \\u0000 \\",
  "\uFFFF\uFFFE",
];

/** Half a character is no text: an adapter may keep it or replace it, but not fail and not touch what stands beside it. */
export const HALVES: readonly string[] = ["\uD800", "a\uDC00b", "\uDFFF\uD800"];

/** Every id that an agent accepts is a run of its own. */
export const RUN_IDS: readonly string[] = [
  "a",
  "A",
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "-",
  "_",
  "a.b",
  "a.b.",
  "a..b",
  "a-b",
  "a_b",
  "0",
  "00",
  "1e3",
  "CON",
  "nul",
  "x".repeat(128),
  "x".repeat(127),
];

/** Ids that no agent gives: refused, or kept apart like any other; never the way out of a folder or into another run. */
export const FOREIGN_IDS: readonly string[] = [
  "",
  ".",
  "..",
  "../a",
  "a/b",
  "a\\b",
  "/etc",
  "a\u0000",
  "a\nb",
  "é",
  "\u2028",
  "%2e",
];

interface Told {
  readonly text?: string;
  readonly metadata?: Record<string, Json>;
  readonly agent?: string;
}

/** A first event, then inputs. Adapters check seq, not sense. */
export function events(
  runId: string,
  from: number,
  to: number,
  { text = "hello", metadata, agent = "a" }: Told = {},
): Event[] {
  return Array.from({ length: to - from + 1 }, (_, index): Event => {
    const seq = from + index;
    const envelope = { seq, timestamp: 1_000 + seq, runId };
    if (seq > 1) return { ...envelope, type: "user_input", data: { id: `i${seq}`, text, when: "step" }, cause: 1 };
    return {
      ...envelope,
      type: "run_start",
      data: {
        schema: 1,
        reducer: 1,
        chartHash: "c",
        agent: { name: agent, instructions: "h", tools: [{ name: "t", hash: "h" }] },
        model: "m",
        limits: { maxSteps: 10 },
        ...(metadata === undefined ? {} : { metadata }),
      },
    };
  });
}

export const DONE: Extract<Event, { type: "done" }>["data"] = {
  output: "ok",
  usage: { inputTokens: 0, outputTokens: 0, requests: 1, unknownRequests: 0 },
  steps: 1,
  stateHash: "",
  reducer: 1,
};

/**
 * Deltas of every kind, in runs and alone: each differs from the one before in one field, then in several, so that an adapter which keeps
 * what neighbours share must notice every difference.
 */
export function deltas(runId: string): Event[] {
  const list: Event[] = [...events(runId, 1, 2)];
  const token = (data: Partial<EventData<"token_stream">>, timestamp = 5, cause?: number): void => {
    list.push({
      seq: list.length + 1,
      timestamp,
      runId,
      type: "token_stream",
      data: { kind: "text", text: "ab", messageId: "m1", attempt: 1, offset: 0, ...data },
      ...(cause === undefined ? {} : { cause }),
    });
  };
  for (let offset = 0; offset < 20; offset += 2) {
    token({ offset }, 5 + offset);
    if (offset !== 10) continue;
    // The text goes on where it was, behind something else.
    const data = { callId: "1.0", attempt: 1, value: "between" };
    list.push({ seq: list.length + 1, timestamp: 5, runId, type: "tool_progress", data });
  }
  for (let round = 0; round < 40; round++) {
    token({ offset: 20 });
    token({ offset: 22, ...(round & 1 ? { kind: "reasoning" } : {}) }, 5, round & 32 ? 2 : undefined);
    token({ offset: 24, ...(round & 2 ? { messageId: "m2" } : {}), text: round % 3 === 0 ? "" : "\u{1F3B5}" });
    token({ offset: round & 4 ? 7 : 26, ...(round & 8 ? { attempt: 2 } : {}) }, round);
    const seq = list.length + 1;
    const envelope = { seq, timestamp: round, runId };
    const data = { messageId: "m1", attempt: 1, index: round % 3, callId: `1.${round % 3}` };
    if (round % 4 === 0) list.push({ ...envelope, type: "tool_call_delta", data: { ...data, args: '{"a' } });
    if (round % 4 === 1)
      list.push({ ...envelope, type: "tool_call_delta", data: { ...data, name: "t", args: "" }, cause: 1 });
    if (round % 4 === 2)
      list.push({ ...envelope, type: "tool_progress", data: { callId: "1.0", attempt: 1, value: [round] } });
  }
  return list;
}
