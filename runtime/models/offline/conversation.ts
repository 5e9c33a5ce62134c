import type { Message } from "../../../machines/messages.ts";
import type { Intent, Language } from "./intent.ts";
import { understand, type Reading } from "./understand.ts";

/** One thing that waits for an answer, and how it is to be answered. */
export interface Ask {
  readonly intent: Intent;
  readonly language: Language;
  readonly short: boolean;
  /** Position of the message that asks for it now. What happened to its call after that is the answer, whatever it was. */
  readonly at: number;
  /** Position of the message that asked for it first. A result from before `at` is good enough when it is `ok`. */
  readonly since: number;
}

export interface Conversation {
  readonly asks: readonly Ask[];
  /** Of what is said about the answer as a whole. */
  readonly language: Language;
  /** What has been said of the answer already, when it was cut and is to be continued. */
  readonly said: string;
}

/**
 * Reads a conversation as a fold over its messages.
 *
 * Messages of a person that come in together are all answered. One that comes after an answer, complete or cut, or after calls that were
 * stopped, is a new direction: what was asked before is dropped. One that only says how ("shorter", "in Chinese") changes the last topic.
 * A cut answer that nobody said anything after is continued.
 */
export function readConversation(messages: readonly Message[]): Conversation {
  let asks: readonly Ask[] = [];
  let topic: readonly Ask[] = [];
  let language: Language = "en";
  let said = "";
  /** True when what stands before needs no answer any more as soon as a person says something. */
  let closed = false;

  for (const [at, message] of messages.entries()) {
    switch (message.role) {
      case "user": {
        const reading = understand(message.content);
        language = reading.wanted ?? reading.written ?? language;
        if (closed) asks = [];
        asks = withoutForbidden(asks, reading);
        const turned = turnedTo(reading, topic, language, at);
        if (turned !== undefined) {
          asks = [...asks.filter((ask) => !topic.includes(ask) || ask.intent.kind !== "write"), turned];
          topic = [turned];
          said = "";
        } else if (reading.intents.length === 0 && topic.length > 0) {
          const changed = topic.map((ask) => restyle(ask, reading, at));
          asks = [...asks.filter((ask) => !topic.includes(ask)), ...changed];
          topic = changed;
          // The rest follows what was said only if it is the same text.
          if (!reading.goOn || reading.short) said = "";
        } else {
          const asked = asksOf(reading, message.content, language, at);
          asks = [...asks, ...asked];
          if (asked.some(({ intent }) => isTopic(intent))) topic = asked;
          said = "";
        }
        closed = false;
        break;
      }
      case "assistant":
        if (message.toolCalls !== undefined && message.toolCalls.length > 0) {
          said = "";
        } else {
          said += message.content;
          closed = true;
        }
        break;
      case "tool":
        if (message.outcome === "skipped" || message.outcome === "aborted") closed = true;
        break;
      default:
        break;
    }
  }
  return { asks, language: asks.at(-1)?.language ?? language, said };
}

function asksOf({ intents, short }: Reading, text: string, language: Language, at: number): Ask[] {
  const asked: readonly Intent[] = intents.length > 0 ? intents : [{ kind: "unknown", text }];
  return asked.map((intent) => ({ intent, language, short, at, since: at }));
}

/** What a later message forbids is not to be done any more. */
function withoutForbidden(asks: readonly Ask[], { intents }: Reading): readonly Ask[] {
  const forbidden = intents.flatMap((intent) => (intent.kind === "leave" ? intent.intents : []));
  const keys = new Set(forbidden.map((intent) => JSON.stringify(intent)));
  return asks.filter(({ intent }) => !keys.has(JSON.stringify(intent)));
}

/** The text that was being written, about something else. */
function turnedTo(
  { turn, wanted, written, short }: Reading,
  topic: readonly Ask[],
  language: Language,
  at: number,
): Ask | undefined {
  const text = topic.find(({ intent }) => intent.kind === "write");
  if (turn === undefined || text === undefined) return undefined;
  return {
    intent: { kind: "write", topic: turn },
    language: wanted ?? written ?? language,
    short: short || text.short,
    at,
    since: at,
  };
}

/** The manner changes, the language only when it is asked for: "shorter" is no wish for English. */
function restyle(ask: Ask, { wanted, short }: Reading, at: number): Ask {
  return { ...ask, at, language: wanted ?? ask.language, short: short || ask.short };
}

function isTopic({ kind }: Intent): boolean {
  return kind !== "leave" && kind !== "greet" && kind !== "thanks" && kind !== "unknown";
}
