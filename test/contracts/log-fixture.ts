import type { Event, Json } from "rubato";

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
        agent: { name: agent, hash: "h" },
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
