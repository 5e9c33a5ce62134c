import { RubatoError } from "../errors.ts";
import type { ChatModel, ModelChunk, ModelRequest, Usage } from "./chat-model.ts";
import { pause } from "./offline/pause.ts";
import { chunksOf, wordsOf } from "./offline/pieces.ts";
import { planFor, type Plan } from "./offline/plan.ts";

export interface OfflineModelOptions {
  /** Milliseconds before each piece (a word, a fragment of a call): 0 to 10,000, default 30. With 0 it uses no timer at all. */
  readonly paceMs?: number;
  /** Waits for a piece's time. Must resolve at once when the signal aborts. Default: a timer. */
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/**
 * A small model of rules that needs no endpoint: what answers when none is configured. It really calls the tools, streams what it says, and
 * says that it is the offline model. It understands, in English and Chinese: count, list, read and search files, arithmetic, the time, waiting,
 * a long text about something, and several of these at once; "shorter", "in Chinese" and "go on" about what was said before.
 *
 * Its answer depends on the request alone. The standard tools are what it can use (`standardTools` of `rubato/tools`).
 * @throws {RubatoError} `invalid_option` for a pace out of range.
 */
export function offlineModel({ paceMs = 30, sleep = pause }: OfflineModelOptions = {}): ChatModel {
  if (!(paceMs >= 0 && paceMs <= 10_000)) {
    throw new RubatoError("invalid_option", `offlineModel: paceMs must be from 0 to 10,000, got ${paceMs}.`);
  }
  return {
    name: "offline",
    async *stream(request, { signal }) {
      const plan = planFor(request);
      for (const chunk of piecesOf(plan, request)) {
        if (paceMs > 0) await sleep(paceMs, signal);
        if (signal.aborted) return;
        yield chunk;
      }
      yield {
        type: "finish",
        finish: plan.kind === "calls" ? "tool_calls" : "stop",
        usage: usageOf(plan, request),
      };
    },
  };
}

function piecesOf(plan: Plan, { messages }: ModelRequest): ModelChunk[] {
  if (plan.kind === "calls") return chunksOf(plan.calls, (index) => `offline_${messages.length}_${index}`);
  return wordsOf(plan.text).map((text): ModelChunk => ({ type: "text", text }));
}

/** A rough estimate: a piece of text counts as a token. */
function usageOf(plan: Plan, { instructions, messages, tools }: ModelRequest): Usage {
  const count = (text: string) => wordsOf(text).length;
  let inputTokens = count(instructions);
  for (const tool of tools) inputTokens += count(tool.description);
  for (const message of messages) {
    inputTokens += count(message.content);
    if (message.role === "assistant") for (const call of message.toolCalls ?? []) inputTokens += count(call.args);
  }
  const outputTokens =
    plan.kind === "text"
      ? count(plan.text)
      : plan.calls.reduce((sum, call) => sum + count(call.name) + count(call.args), 0);
  return { inputTokens, outputTokens };
}
