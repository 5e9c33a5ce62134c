import type { ModelChunk, Usage } from "./chat-model.ts";
import { isRecord } from "../is-record.ts";

type Finish = Extract<ModelChunk, { type: "finish" }>["finish"];

/** Turns the frames of one streamed answer into chunks. What it reads comes from anyone's endpoint, so nothing about it is taken for granted. */
export interface ChatDecoder {
  /** Adds the chunks of one frame to `out`. */
  push(frame: unknown, out: ModelChunk[]): void;
  /** Whether the endpoint has said that the answer is complete. Only the usage can follow. */
  readonly finished: boolean;
  /** The last chunk, or undefined while the endpoint has not said that the answer is complete. */
  end(): ModelChunk | undefined;
}

/** One call as it streams. `args` is kept only for endpoints that do not number their calls. */
interface OpenCall {
  readonly index: number;
  id: string;
  name: string;
  args: string;
}

export function chatDecoder(): ChatDecoder {
  const slots = new Map<number, OpenCall>();
  const byId = new Map<string, OpenCall>();
  let last: OpenCall | undefined;
  let count = 0;
  let reason: Finish | undefined;
  let usage: Usage | undefined;

  const open = (): OpenCall => {
    last = { index: count, id: "", name: "", args: "" };
    count += 1;
    return last;
  };

  /** Numbered calls: the number decides, except that some endpoints number every call of a message 0 and tell them apart by id. */
  const locateNumbered = (slot: number, id: string, name: string): OpenCall => {
    const known = slots.get(slot);
    if (known !== undefined) {
      // A changed id without a name is an endpoint that makes up an id per fragment.
      const another = id !== "" && known.id !== "" && id !== known.id && name !== "";
      if (!another) return known;
    }
    const call = open();
    slots.set(slot, call);
    return call;
  };

  /** Calls without a number: a known id goes on, a new id with a name begins, and without an id a name begins a call unless it is repeated. */
  const locate = (id: string, name: string): OpenCall => {
    const known = id === "" ? undefined : byId.get(id);
    if (known !== undefined) return known;
    if (last === undefined) return open();
    if (name === "") return last;
    if (id !== "") return last.id === "" && last.name === "" ? last : open();
    return last.name === "" || (last.name === name && !isJson(last.args)) ? last : open();
  };

  const pushCall = (delta: Record<string, unknown>, out: ModelChunk[]): void => {
    const described = isRecord(delta["function"]) ? delta["function"] : {};
    const id = textOf(delta["id"]);
    const name = textOf(described["name"]);
    const args = argumentsOf(described["arguments"]);
    const slot = delta["index"];
    const before = count;
    const numbered = typeof slot === "number";
    const call = numbered ? locateNumbered(slot, id, name) : locate(id, name);
    last = call;
    const begins = count > before;
    // Ids and names are told once, since some endpoints repeat them in every fragment.
    const newId = call.id === "" && id !== "";
    const newName = call.name === "" && name !== "";
    if (newId) {
      call.id = id;
      byId.set(id, call);
    }
    if (newName) call.name = name;
    if (!numbered) call.args += args;
    if (!begins && !newId && !newName && args === "") return;
    out.push({
      type: "tool_call",
      index: call.index,
      ...(newId ? { id } : undefined),
      ...(newName ? { name } : undefined),
      ...(args === "" ? undefined : { args }),
    });
  };

  const pushDelta = (delta: Record<string, unknown>, out: ModelChunk[]): void => {
    const reasoning = textOf(delta["reasoning_content"]) || textOf(delta["reasoning"]);
    if (reasoning !== "") out.push({ type: "reasoning", text: reasoning });
    const text = textOf(delta["content"]) || textOf(delta["refusal"]);
    if (text !== "") out.push({ type: "text", text });
    const calls = delta["tool_calls"];
    if (Array.isArray(calls)) for (const call of calls) if (isRecord(call)) pushCall(call, out);
    // The form before tool_calls: one call, not numbered.
    const legacy = delta["function_call"];
    if (isRecord(legacy)) pushCall({ index: 0, function: legacy }, out);
  };

  // A field, not a getter: see the bus.
  const decoder: ChatDecoder & { finished: boolean } = {
    push(frame, out) {
      if (!isRecord(frame)) return;
      usage = usageOf(frame["usage"]) ?? usage;
      const choices = frame["choices"];
      if (!Array.isArray(choices)) return;
      for (const choice of choices) {
        // Further choices are other answers to the same question.
        if (!isRecord(choice) || (choice["index"] ?? 0) !== 0) continue;
        if (isRecord(choice["delta"])) pushDelta(choice["delta"], out);
        reason = finishOf(choice["finish_reason"]) ?? reason;
      }
      decoder.finished = reason !== undefined;
    },
    finished: false,
    end() {
      if (reason === undefined) return undefined;
      // Some endpoints say "stop" after calls, some say "tool_calls" without one: what was streamed decides.
      const finish = reason === "length" ? reason : count > 0 ? "tool_calls" : "stop";
      return usage === undefined ? { type: "finish", finish } : { type: "finish", finish, usage };
    },
  };
  return decoder;
}

/**
 * `content_filter` counts as `length`: the endpoint cut the answer short, its text is kept, and calls in it may be cut and must not run.
 * A reason that says that the endpoint itself broke off is no end at all. Reasons that nobody defined count as an ordinary end.
 */
function finishOf(reason: unknown): Finish | undefined {
  if (typeof reason !== "string" || reason === "") return undefined;
  switch (reason.toLowerCase()) {
    case "length":
    case "max_tokens":
    case "model_length":
    case "content_filter":
      return "length";
    case "error":
    case "abort":
    case "aborted":
    case "cancelled":
    case "network_error":
    case "insufficient_system_resource":
      return undefined;
    default:
      return "stop";
  }
}

function usageOf(usage: unknown): Usage | undefined {
  if (!isRecord(usage)) return undefined;
  const { prompt_tokens: inputTokens, completion_tokens: outputTokens } = usage;
  if (!isCount(inputTokens) || !isCount(outputTokens)) return undefined;
  return { inputTokens, outputTokens };
}

function argumentsOf(value: unknown): string {
  if (typeof value === "string") return value;
  // A few endpoints send the arguments parsed.
  return isRecord(value) ? JSON.stringify(value) : "";
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
