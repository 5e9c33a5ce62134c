import type { Event } from "rubato";

/** Tokens of one message that follow each other. */
export function tokens(from: number, texts: readonly string[], offset = 0): Event[] {
  let at = offset;
  return texts.map((text, index): Event => {
    const data = { kind: "text", text, messageId: "m1", attempt: 1, offset: at } as const;
    at += text.length;
    return { seq: from + index, timestamp: 2_000 + from + index, runId: "r", type: "token_stream", data: { ...data } };
  });
}
