import type { CallResult } from "../machines/command.ts";
import type { Draft, Json } from "../machines/events.ts";
import type { Message } from "../machines/messages.ts";
import { RubatoError } from "./errors.ts";
import type { ChatModel, ModelChunk, ModelRequest } from "./models/chat-model.ts";

/**
 * Takes out of a text what must not be recorded, for instance by replacing it. Called with every text that a person, a model or a tool gave, before
 * it is appended. The log is the truth: what is taken out here is gone for the model and for tools as well.
 *
 * What a model says is given, and shown, line by line (at most 4,096 characters at a time), arguments of calls as a whole: what is spread over several
 * lines is not found. Must answer a text for every text, at once; one that throws ends the run (`internal`), since nothing may be recorded as it was.
 */
export type Redact = (text: string) => string;

/** An event with its texts redacted. Ids, names, hashes and numbers stay as they are. */
export function redactDraft(draft: Draft, redact: Redact): Draft {
  switch (draft.type) {
    case "run_start": {
      const { messages, metadata } = draft.data;
      return {
        ...draft,
        data: {
          ...draft.data,
          ...(messages === undefined ? {} : { messages: messages.map((message) => redactMessage(message, redact)) }),
          ...(metadata === undefined ? {} : { metadata: redactValues(metadata, redact) }),
        },
      };
    }
    case "user_input":
      return { ...draft, data: { ...draft.data, text: text(draft.data.text, redact) } };
    case "approval": {
      // Edited arguments were redacted before they were hashed: they are bound as they are.
      const { answer, reason } = draft.data;
      return {
        ...draft,
        data: {
          ...draft.data,
          ...(answer === undefined ? {} : { answer: text(answer, redact) }),
          ...(reason === undefined ? {} : { reason: text(reason, redact) }),
        },
      };
    }
    case "tool_result": {
      const { output, error } = draft.data;
      return {
        ...draft,
        data: {
          ...draft.data,
          ...(output === undefined ? {} : { output: redactJson(output, redact) }),
          ...(error === undefined ? {} : { error: { ...error, message: text(error.message, redact) } }),
        },
      };
    }
    case "interrupt":
      return { ...draft, data: { ...draft.data, reason: text(draft.data.reason, redact) } };
    case "cancelled":
      // Of a run at rest nothing said so before.
      return { ...draft, data: { ...draft.data, reason: text(draft.data.reason, redact) } };
    case "error":
      return { ...draft, data: { ...draft.data, message: text(draft.data.message, redact) } };
    case "retry":
      return { ...draft, data: { ...draft.data, reason: text(draft.data.reason, redact) } };
    case "custom":
      return { ...draft, data: { ...draft.data, data: redactJson(draft.data.data, redact) } };
    default:
      // The others have no text of somebody's, or have it from the state: a message says what was streamed, which was redacted, and a call what its
      // message says.
      return draft;
  }
}

export function redactJson(value: Json, redact: Redact): Json {
  if (typeof value === "string") return text(value, redact);
  if (typeof value !== "object" || value === null) return value;
  if (isList(value)) return value.map((item) => redactJson(item, redact));
  return redactValues(value, redact);
}

/** A result that a person gives to a fork: it is copied into the log, not recorded. */
export function redactedResult(result: CallResult, redact: Redact | undefined): CallResult {
  if (redact === undefined) return result;
  if ("output" in result) return { output: redactJson(result.output, redact) };
  return { error: { ...result.error, message: text(result.error.message, redact) } };
}

function redactValues(values: Readonly<Record<string, Json>>, redact: Redact): Record<string, Json> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, redactJson(value, redact)]));
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

function redactMessage(message: Message, redact: Redact): Message {
  const content = text(message.content, redact);
  if (message.role !== "assistant" || message.toolCalls === undefined) return { ...message, content };
  const toolCalls = message.toolCalls.map((call) => ({ ...call, args: redactArgs(call.args, redact) }));
  return { ...message, content, toolCalls };
}

/** Inside of the JSON, so that it stays JSON. What cannot be parsed is a text like any other. */
function redactArgs(args: string, redact: Redact): string {
  try {
    const value: Json = JSON.parse(args);
    const redacted = JSON.stringify(redactJson(value, redact));
    // As the model wrote it, where nothing was taken out.
    return redacted === JSON.stringify(value) ? args : redacted;
  } catch (error) {
    if (error instanceof RubatoError) throw error;
    return text(args, redact);
  }
}

function text(given: string, redact: Redact): string {
  if (given === "") return given;
  let redacted: unknown;
  try {
    redacted = redact(given);
  } catch (error) {
    throw new RubatoError("internal", "The option redact threw, so nothing more is recorded. It must answer a text.", {
      cause: error,
    });
  }
  if (typeof redacted !== "string") {
    throw new RubatoError("internal", `The option redact answered ${typeof redacted} where it must answer a text.`);
  }
  return redacted.toWellFormed();
}

/** A text without line breaks is not held back without end. */
const MAX_HELD = 4_096;

/** The model with what it says redacted before anything sees it. */
export function redactedModel(model: ChatModel, redact: Redact): ChatModel {
  return {
    name: model.name,
    async *stream(request: ModelRequest, options) {
      const held = { text: "", reasoning: "" };
      const args = new Map<number, string>();
      for await (const chunk of model.stream(request, options)) {
        switch (chunk.type) {
          case "text":
          case "reasoning": {
            const all = held[chunk.type] + chunk.text;
            const end = all.length > MAX_HELD ? all.length : all.lastIndexOf("\n") + 1;
            held[chunk.type] = all.slice(end);
            if (end > 0) yield { type: chunk.type, text: text(all.slice(0, end), redact) };
            break;
          }
          case "tool_call": {
            const { args: piece = "", ...call } = chunk;
            args.set(chunk.index, (args.get(chunk.index) ?? "") + piece);
            // Who is called may be seen at once.
            if (call.id !== undefined || call.name !== undefined) yield call;
            break;
          }
          case "finish":
            yield* rest();
            for (const [index, all] of args) yield { type: "tool_call", index, args: redactArgs(all, redact) };
            yield chunk;
            break;
          default:
            yield chunk;
        }
      }
      yield* rest();

      function* rest(): Generator<ModelChunk> {
        for (const type of ["reasoning", "text"] as const) {
          if (held[type] !== "") yield { type, text: text(held[type], redact) };
          held[type] = "";
        }
      }
    },
  };
}
