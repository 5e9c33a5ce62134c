import type { Event } from "../../machines/events.ts";

/** Tokens of one kind of one message that follow each other, before they are events. */
export interface HeldTokens {
  /** Of the first, as the next one. */
  readonly seq: number;
  readonly timestamp: number;
  readonly kind: "text" | "reasoning";
  readonly messageId: string;
  readonly attempt: number;
  /** Where the first one's text stands in its kind of the message. */
  readonly offset: number;
  readonly count: number;
  /** The first `count` of them, as of the next: these lists are the owner's, and hold only while they are handed over. */
  readonly texts: readonly string[];
  /** Of each: how much later than the first it came, ms. */
  readonly delays: readonly number[];
  /** All texts. */
  readonly text: string;
}

/** The events that they stand for. */
export function tokenEvents(runId: string, tokens: HeldTokens): Event[] {
  const { kind, messageId, attempt, count, texts, delays } = tokens;
  const events: Event[] = [];
  let { offset } = tokens;
  for (const [index, text] of texts.slice(0, count).entries()) {
    const data = { kind, text, messageId, attempt, offset };
    const timestamp = tokens.timestamp + (delays[index] ?? 0);
    events.push({ seq: tokens.seq + index, timestamp, runId, type: "token_stream", data });
    offset += text.length;
  }
  return events;
}
