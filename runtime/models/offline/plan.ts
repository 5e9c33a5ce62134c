import type { ModelRequest } from "../chat-model.ts";
import { callFor, isToolIntent, keyOf, resultsOf, settledAsks, type Call, type CallResult } from "./calls.ts";
import { z } from "zod";
import { wordsOfCommand } from "./command-line.ts";
import { chinese } from "./chinese.ts";
import { readConversation, type Ask } from "./conversation.ts";
import { english } from "./english.ts";
import type { Language, ToolIntent, Unsaid } from "./intent.ts";
import type { Phrases } from "./phrases.ts";
import {
  clockSchema,
  fetchedSchema,
  fileSchema,
  foundSchema,
  listedSchema,
  ranSchema,
  readResult,
  savedSchema,
} from "./results.ts";

/** What the offline model does with a request: it calls tools, or it answers. */
export type Plan =
  | { readonly kind: "calls"; readonly calls: readonly Call[] }
  | { readonly kind: "text"; readonly text: string };

/** Calls of one message. What is asked beyond that is called for in the next one. */
const maxCalls = 16;

const voices: Readonly<Record<Language, Phrases>> = { en: english, zh: chinese };

/** Decides, from the request alone: the same request has the same plan. */
export function planFor({ messages, tools }: ModelRequest): Plan {
  const { asks: asked, language, said } = readConversation(messages);
  const results = resultsOf(messages);
  const known = settledAsks(asked, results);
  const asks = asked.map((ask) => completed(ask, known.get(ask)));
  const settled = settledAsks(asks, results);
  const names = new Set(tools.map(({ name }) => name));
  const wanted = new Map<string, Call>();
  for (const ask of asks) {
    if (settled.has(ask) || !isToolIntent(ask.intent)) continue;
    const call = callFor(ask.intent);
    if (names.has(call.name)) wanted.set(keyOf(call), call);
  }
  if (wanted.size > 0) return { kind: "calls", calls: [...wanted.values()].slice(0, maxCalls) };

  const phrases = voices[language];
  const sentences = asks.flatMap((ask) => sentenceFor(ask, settled.get(ask)));
  const unknown = asks.flatMap(({ intent }) => (intent.kind === "unknown" ? [intent.text] : []));
  if (unknown.length > 0 || asks.length === 0) sentences.push(phrases.unknown(unknown));
  return { kind: "text", text: restOf(join(sentences, phrases), said, phrases) };
}

/** A request that lacked something, with what the person answered: what they asked for then. */
function completed(ask: Ask, result: CallResult | undefined): Ask {
  const { intent } = ask;
  if (intent.kind !== "ask" || intent.lacks === undefined || result?.outcome !== "ok") return ask;
  const meant = intentOf(intent.lacks, answerOf(result.content));
  return meant === undefined ? ask : { ...ask, intent: meant };
}

function intentOf(unsaid: Unsaid, answer: string): ToolIntent | undefined {
  switch (unsaid) {
    case "read":
      return { kind: "read", path: answer };
    case "fetch":
      return { kind: "fetch", url: answer };
    case "run": {
      const [command, ...args] = wordsOfCommand(answer);
      return command === undefined ? undefined : { kind: "run", command, args };
    }
  }
}

/** A text that a tool answered may stand there as JSON. */
function answerOf(content: string): string {
  return readResult(z.string(), content) ?? content;
}

/** The answer to one ask; nothing for those that {@link planFor} answers together. */
function sentenceFor(ask: Ask, result: CallResult | undefined): string[] {
  const phrases = voices[ask.language];
  const { intent } = ask;
  if (isToolIntent(intent)) {
    if (result === undefined) return [phrases.missing(intent, callFor(intent).name)];
    const { outcome, content } = result;
    if (outcome !== "ok") return [phrases.failed(intent, outcome, content)];
    return [reported(intent, content, ask, phrases) ?? phrases.other(intent, content)];
  }
  switch (intent.kind) {
    case "write":
      return [phrases.essay(intent.topic, ask)];
    case "leave":
      return [phrases.left(intent.text)];
    case "greet":
      return [phrases.greeting];
    case "thanks":
      return [phrases.welcome];
    case "help":
      return [phrases.help];
    case "unknown":
      return [];
  }
}

/** A result in words, or undefined when it has not the form of the standard tool's. */
function reported(intent: ToolIntent, content: string, ask: Ask, phrases: Phrases): string | undefined {
  switch (intent.kind) {
    case "count":
    case "list": {
      const result = readResult(listedSchema, content);
      if (result === undefined) return undefined;
      return intent.kind === "count" ? phrases.counted(intent, result) : phrases.listed(intent, result, ask);
    }
    case "read": {
      const result = readResult(fileSchema, content);
      return result && phrases.wasRead(result, ask);
    }
    case "search": {
      const result = readResult(foundSchema, content);
      return result && phrases.found(intent, result, ask);
    }
    case "calculate":
      // As text: a number of 64 digits does not survive JSON.parse.
      return /^"?-?\d[\d.e+-]*"?$/.test(content)
        ? phrases.calculated(intent, content.replaceAll('"', ""), ask)
        : undefined;
    case "time": {
      const result = readResult(clockSchema, content);
      return result && phrases.time(result);
    }
    case "wait":
      return phrases.waited(intent);
    case "run": {
      const result = readResult(ranSchema, content);
      return result && phrases.ran(result, ask);
    }
    case "save": {
      const result = readResult(savedSchema, content);
      return result && phrases.saved(result);
    }
    case "fetch": {
      const result = readResult(fetchedSchema, content);
      return result && phrases.fetched(result, ask);
    }
    case "ask":
      return phrases.answered(answerOf(content));
  }
}

/** Sentences in a row; blocks with a list apart from what follows. */
function join(sentences: readonly string[], { space }: Phrases): string {
  return sentences.reduce((text, sentence) => {
    if (text === "") return sentence;
    return text + (text.includes("\n") || sentence.includes("\n") ? "\n\n" : space) + sentence;
  }, "");
}

/** What is left to say of an answer that was cut. Whoever cut it has read the rest: it is not repeated. */
function restOf(text: string, said: string, phrases: Phrases): string {
  if (!text.startsWith(said)) return phrases.anew + phrases.space + text;
  return text.length > said.length ? text.slice(said.length) : phrases.noMore;
}
