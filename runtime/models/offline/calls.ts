import type { Message, ToolOutcome } from "../../../machines/messages.ts";
import type { Ask } from "./conversation.ts";
import type { Intent, ToolIntent } from "./intent.ts";

/** A call of a tool. `args` is JSON text: the same intent always makes the same text. */
export interface Call {
  readonly name: string;
  readonly args: string;
}

/** What became of a call that was made earlier. */
export interface CallResult extends Call {
  /** Position in the conversation. */
  readonly at: number;
  readonly outcome: ToolOutcome;
  readonly content: string;
}

export function isToolIntent(intent: Intent): intent is ToolIntent {
  switch (intent.kind) {
    case "write":
    case "leave":
    case "greet":
    case "thanks":
    case "help":
    case "unknown":
      return false;
    default:
      return true;
  }
}

type Field = string | number | boolean | readonly string[];

/** The call that gets what an intent needs. */
export function callFor(intent: ToolIntent): Call {
  const call = (name: string, args: Readonly<Record<string, Field>>): Call => ({
    name,
    args: JSON.stringify(args),
  });
  switch (intent.kind) {
    case "count":
      return call("list_files", { path: intent.path, ...patternOf(intent.type), recursive: true });
    case "list":
      return call("list_files", {
        path: intent.path,
        ...patternOf(intent.type),
        ...(intent.recursive === true ? { recursive: true } : {}),
      });
    case "read":
      return call("read_file", { path: intent.path });
    case "search":
      return call("search_text", { query: intent.query, path: intent.path });
    case "calculate":
      return call("calculate", { expression: intent.expression });
    case "time":
      return call("current_time", intent.zone === undefined ? {} : { timeZone: intent.zone });
    case "wait":
      return call("wait", { seconds: intent.seconds });
    case "run":
      return call("run_command", { command: intent.command, args: intent.args });
    case "save":
      return call("write_file", {
        path: intent.path,
        content: intent.content,
        ...(intent.overwrite ? { overwrite: true } : {}),
      });
    case "fetch":
      return call("fetch_url", { url: intent.url });
    case "ask":
      return call("ask_user", {
        question: intent.question,
        ...(intent.options.length === 0 ? {} : { options: intent.options }),
      });
  }
}

function patternOf(type: string | undefined): { readonly pattern?: string } {
  return type === undefined ? {} : { pattern: `*.${type}` };
}

/** Every settled call of the conversation, in order, but for those that a limit kept from running. */
export function resultsOf(messages: readonly Message[]): CallResult[] {
  const calls = new Map<string, Call>();
  const results: CallResult[] = [];
  for (const [at, message] of messages.entries()) {
    if (message.role === "assistant") {
      for (const { callId, name, args } of message.toolCalls ?? []) calls.set(callId, { name, args });
    } else if (message.role === "tool" && message.outcome !== "open") {
      const call = calls.get(message.callId);
      // It was not stopped by anybody: whoever raises the limit wants it to be made.
      const overLimit = message.outcome === "skipped" && message.content.includes("a limit of the run was reached");
      if (call !== undefined && !overLimit)
        results.push({ ...call, at, outcome: message.outcome, content: message.content });
    }
  }
  return results;
}

/** Calls with the same key are the same call. */
export function keyOf({ name, args }: Call): string {
  return `${name} ${args}`;
}

/**
 * The results that answer asks. A result counts when it stands after the message that asks, with whatever outcome, so that nothing is called
 * twice for one request; or before it, when that message only changed the manner of the answer, with `ok`.
 */
export function settledAsks(asks: readonly Ask[], results: readonly CallResult[]): ReadonlyMap<Ask, CallResult> {
  const settled = new Map<Ask, CallResult>();
  const open: (readonly [Ask, Call])[] = [];
  const keys = new Set<string>();
  for (const ask of asks) {
    if (!isToolIntent(ask.intent)) continue;
    const call = callFor(ask.intent);
    keys.add(keyOf(call));
    const same = results.filter((result) => keyOf(result) === keyOf(call));
    const result =
      same.findLast(({ at }) => at > ask.at) ?? same.findLast(({ at, outcome }) => at > ask.since && outcome === "ok");
    if (result === undefined) open.push([ask, call]);
    else settled.set(ask, result);
  }
  // A program may hide parts of arguments before they are recorded. Such a call is known by its tool alone: else it would be made for ever.
  const others = results.filter((result) => !keys.has(keyOf(result)));
  for (const [ask, call] of open) {
    const at = others.findIndex((result) => result.at > ask.at && result.name === call.name);
    for (const result of at < 0 ? [] : others.splice(at, 1)) settled.set(ask, result);
  }
  return settled;
}
