import { expect, it } from "vitest";
import type { Event, EventOf } from "rubato";
import { sizeOf } from "../../runtime/event-size.ts";
import { merge } from "../../runtime/merge.ts";

const ENVELOPE = { timestamp: 5, runId: "r" } as const;

function token(seq: number, text: string, offset: number, more: Partial<EventOf<"token_stream">["data"]> = {}): Event {
  const data = { kind: "text", text, messageId: "m", attempt: 1, offset, ...more } as const;
  return { ...ENVELOPE, seq, type: "token_stream", data };
}

function fragment(seq: number, args: string, more: Partial<EventOf<"tool_call_delta">["data"]> = {}): Event {
  const data = { messageId: "m", attempt: 1, index: 0, callId: "1.0", args, ...more };
  return { ...ENVELOPE, seq, type: "tool_call_delta", data };
}

it("P27 two pieces of one text become one, and nothing else does", () => {
  expect(merge(token(5, "ab", 0), token(6, "c", 2))).toEqual(token(6, "abc", 0));
  expect(merge(token(5, "ab", 0), token(9, "c", 2)), "others may lie between, of another type").toEqual(
    token(9, "abc", 0),
  );
  const apart: readonly Event[] = [
    token(6, "c", 3),
    token(6, "c", 2, { kind: "reasoning" }),
    token(6, "c", 2, { messageId: "n" }),
    token(6, "c", 2, { attempt: 2 }),
    fragment(6, "c"),
  ];
  for (const next of apart) expect(merge(token(5, "ab", 0), next)).toBeUndefined();
});

it("P27 fragments of one call's arguments become one, with the head of the first", () => {
  const head = { providerCallId: "p", name: "n" };
  expect(merge(fragment(5, "{", head), fragment(6, "}"))).toEqual(fragment(6, "{}", head));
  const apart: readonly Event[] = [
    fragment(6, "}", { callId: "1.1" }),
    fragment(6, "}", { messageId: "n" }),
    fragment(6, "}", { attempt: 2 }),
    fragment(6, "}", { name: "n" }),
    fragment(6, "}", { providerCallId: "p" }),
  ];
  for (const next of apart) expect(merge(fragment(5, "{", head), next)).toBeUndefined();
  const progress = (seq: number): Event => ({
    ...ENVELOPE,
    seq,
    type: "tool_progress",
    data: { callId: "1.0", attempt: 1, value: 1 },
  });
  expect(merge(progress(5), progress(6))).toBeUndefined();
});

it("counts the texts of an event, also those deep inside it", () => {
  expect(sizeOf(token(5, "ab", 0))).toBe(104);
  expect(sizeOf(fragment(5, "abc"))).toBe(106);
  let value: readonly unknown[] = ["x".repeat(1_000)];
  for (let depth = 0; depth < 900; depth++) value = [value];
  const deep: Event = {
    ...ENVELOPE,
    seq: 5,
    type: "custom",
    data: { name: "n", data: JSON.parse(JSON.stringify(value)) },
  };
  expect(sizeOf(deep)).toBeGreaterThan(2_000);
  expect(sizeOf(deep)).toBeLessThan(2_200);
  const wide = (data: readonly string[]): Event => ({ ...ENVELOPE, seq: 5, type: "custom", data: { name: "", data } });
  const words = Array.from({ length: 50_000 }, () => "word");
  expect(sizeOf(wide(words.slice(0, 1_000)))).toBe(100 + 2 * 8 + 8_000);
  expect(sizeOf(wide(words)), "what is measured is bounded").toBeGreaterThan(8 * 50_000 - 1_000);
});
