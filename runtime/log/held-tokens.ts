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
  /** This list and the next become the log's. */
  readonly texts: string[];
  /** Of each: how much later than the first it came, ms. Undefined where all came at once. */
  readonly delays: number[] | undefined;
  /** All texts. */
  readonly text: string;
}

/** The events that they stand for. */
export function tokenEvents(runId: string, tokens: HeldTokens): Event[] {
  const { kind, messageId, attempt, texts, delays } = tokens;
  const events: Event[] = [];
  let { offset } = tokens;
  for (const [index, text] of texts.entries()) {
    const data = { kind, text, messageId, attempt, offset };
    const timestamp = tokens.timestamp + (delays?.[index] ?? 0);
    events.push({ seq: tokens.seq + index, timestamp, runId, type: "token_stream", data });
    offset += text.length;
  }
  return events;
}
