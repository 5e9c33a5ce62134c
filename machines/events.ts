import { z } from "zod";
import type { DeepReadonly } from "./deep-readonly.ts";
import { messageSchema, requestedCallSchema, toolOutcomeSchema } from "./messages.ts";

/**
 * The whole vocabulary: one closed union, one envelope. A run is a list of these events, `seq` contiguous from 1.
 *
 * Three kinds:
 * - **control** events move the chart (agent.ts);
 * - **hot** events are the deltas between them: tokens, streamed arguments, tool progress. They go to the reducer and the log, not through
 *   the chart (but for the first delta of an answer, which says that streaming began);
 * - **notes** are recorded and change nothing about where the run stands: `custom`, late tool results, errors of background work.
 */

/** What may stand in the log: plain JSON. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
// Not zod's own JSON schema: that copies objects, and loses a key named `__proto__` on the way. Keys are data.
export const jsonSchema = z.custom<Json>((value) => isJson(value, 0), "not JSON");
const jsonObject = z.custom<Readonly<Record<string, Json>>>(
  (value) => isObject(value) && isJson(value, 0),
  "not a JSON object",
);
/** Deeper than anything that is ever recorded, and far from where a stack ends. */
const MAX_JSON_DEPTH = 1_000;

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isJson(value: unknown, depth: number): boolean {
  if (depth > MAX_JSON_DEPTH) return false;
  if (Array.isArray(value)) return value.every((item) => isJson(item, depth + 1));
  if (isObject(value)) return Object.values(value).every((item) => isJson(item, depth + 1));
  return value === null || typeof value === "boolean" || typeof value === "string" || Number.isFinite(value);
}

/** The log's schema. A log of a newer one can be read, not resumed. A field that may be absent makes no newer one: who does not know it leaves it out. */
export const SCHEMA_VERSION = 1;
/** The reducer's version, in every rest event beside the hash of the state that it made. */
export const REDUCER_VERSION = 1;

const count = z.number().int().nonnegative();
const ordinal = z.number().int().positive();

const usageSchema = z.object({ inputTokens: count, outputTokens: count });
/** Tokens of one request as the provider counted them. */
export type Usage = Readonly<z.infer<typeof usageSchema>>;

/**
 * Usage of a whole run. `unknownRequests` counts the requests whose usage nobody told us (a cut answer): unknown is not 0. `estimated` is what those
 * may have used, by a rule of thumb, apart from what was told. `cost` is what all of it costs by the prices that the program gave; absent without.
 */
const runUsageSchema = z.object({
  inputTokens: count,
  outputTokens: count,
  requests: count,
  unknownRequests: count,
  estimated: usageSchema.optional(),
  cost: z.number().nonnegative().optional(),
});
export type RunUsage = Readonly<z.infer<typeof runUsageSchema>>;

const faultSchema = z.object({ code: z.string(), message: z.string() });
/** What went wrong, in one sentence, with a code for programs. */
export type Fault = Readonly<z.infer<typeof faultSchema>>;

/** Where a tool call stood when it was settled, and so whether it ever ran. `orphaned`: it ran in a process that lost the run. */
const callPhase = z.enum(["complete", "awaiting_approval", "refused", "ready", "running", "orphaned"]);
/** When an input wants to be heard. `start` is the first input of a run. */
const inputWhen = z.enum(["start", "now", "step", "done"]);
/** `step` waits for the next step boundary; `now` aborts what is in flight. */
const interruptMode = z.enum(["step", "now"]);
export type InterruptMode = z.infer<typeof interruptMode>;
/** What becomes of the text of a message that was cut. */
const partialPolicy = z.enum(["keep", "continue", "discard"]);
export type PartialPolicy = z.infer<typeof partialPolicy>;

/** What a run may use, as it was begun. Without a field there is no such limit. */
export const limitsSchema = z.object({
  maxSteps: ordinal,
  /** Tool calls that start. */
  toolCalls: count.optional(),
  inputTokens: count.optional(),
  outputTokens: count.optional(),
  /** In the unit of the prices that the program gave. */
  cost: z.number().nonnegative().optional(),
  /** Milliseconds that the run works; its rests do not count. */
  wallMs: count.optional(),
  /** Identical steps in a row (the same calls, arguments and results) at which the run rests. */
  maxRepeats: count.optional(),
});
export type Limits = Readonly<z.infer<typeof limitsSchema>>;

/** What an answer cost that was told or estimated. */
const spentFields = {
  /** Where the usage is unknown: a rule of thumb. */
  estimate: usageSchema.optional(),
  /** By the prices that the program gave. */
  cost: z.number().nonnegative().optional(),
};

/** W3C Trace Context of whoever said it: the spans of what it begins belong to that trace. Absent without. */
export const callerFields = { traceparent: z.string().optional(), tracestate: z.string().optional() };

const restFields = { usage: runUsageSchema, steps: count, stateHash: z.string(), reducer: ordinal };

function event<Type extends string, Data extends z.ZodType>(type: Type, data: Data) {
  return z.object({
    /** Position in the run, from 1, without gaps. */
    seq: ordinal,
    /** Milliseconds since 1970, from the injected clock. */
    timestamp: z.number(),
    runId: z.string(),
    type: z.literal(type),
    data,
    /** The seq of the event that led to this one. */
    cause: ordinal.optional(),
  });
}

export const eventSchema = z.discriminatedUnion("type", [
  event(
    "run_start",
    z.object({
      schema: ordinal,
      reducer: ordinal,
      chartHash: z.string(),
      /** What the run was begun with, by name and hash: a process that goes on with it compares them with its own. */
      agent: z.object({
        name: z.string(),
        instructions: z.string(),
        tools: z.array(z.object({ name: z.string(), hash: z.string() })),
      }),
      model: z.string(),
      limits: limitsSchema,
      messages: z.array(messageSchema).optional(),
      metadata: jsonObject.optional(),
      ...callerFields,
      parent: z.object({ runId: z.string(), callId: z.string() }).optional(),
      /** Copied from this run up to this seq. `edited`: calls whose results are not what that run recorded. */
      fork: z.object({ runId: z.string(), seq: ordinal, edited: z.array(z.string()).optional() }).optional(),
    }),
  ),
  event(
    "owner",
    z.object({
      epoch: ordinal,
      who: z.string(),
      why: z.enum(["resume", "takeover", "command", "fork"]),
      /** How often in a row the run was recovered in the middle of its work without getting any further, this time included. */
      recoveries: count,
      ...callerFields,
    }),
  ),
  event("user_input", z.object({ id: z.string(), text: z.string(), when: inputWhen, ...callerFields })),
  event("thinking", z.object({ step: ordinal, attempt: ordinal, messageId: z.string(), model: z.string() })),
  event(
    "token_stream",
    z.object({
      kind: z.enum(["text", "reasoning"]),
      text: z.string(),
      messageId: z.string(),
      /** Which request for this message, from 1. */
      attempt: ordinal,
      /** Where the text stands in its kind of the message, in UTF-16 units. */
      offset: count,
    }),
  ),
  event(
    "tool_call_delta",
    z.object({
      messageId: z.string(),
      attempt: ordinal,
      index: count,
      callId: z.string(),
      providerCallId: z.string().optional(),
      name: z.string().optional(),
      args: z.string(),
    }),
  ),
  event(
    "message",
    z.object({
      messageId: z.string(),
      step: ordinal,
      attempt: ordinal,
      finish: z.enum(["stop", "tool_calls", "length", "interrupted", "truncated"]),
      text: z.string(),
      reasoning: z.string().optional(),
      calls: z.array(requestedCallSchema),
      usage: z.union([usageSchema, z.literal("unknown")]),
      ...spentFields,
    }),
  ),
  event(
    "tool_call",
    z.object({
      callId: z.string(),
      providerCallId: z.string(),
      name: z.string(),
      args: jsonSchema,
      approval: z.enum(["none", "required"]),
      /** Of what is to be approved. */
      argsHash: z.string().optional(),
    }),
  ),
  event(
    "approval_request",
    z.object({
      callId: z.string(),
      argsHash: z.string(),
      /** From this moment on nobody can approve it any more, ms since 1970. */
      expiresAt: z.number().optional(),
    }),
  ),
  event(
    "approval",
    z.object({
      callId: z.string(),
      decision: z.enum(["approve", "reject"]),
      /** What it runs with instead. */
      args: jsonSchema.optional(),
      /** Of the arguments that were approved. */
      argsHash: z.string().optional(),
      /** What the person said: for a tool that asks, its answer. */
      answer: z.string().optional(),
      /** Every later call of the same tool in this run is approved as well. */
      forRun: z.literal(true).optional(),
      reason: z.string().optional(),
      by: z.string(),
      ...callerFields,
    }),
  ),
  event("tool_start", z.object({ callId: z.string(), attempt: ordinal, name: z.string(), idempotencyKey: z.string() })),
  event("tool_progress", z.object({ callId: z.string(), attempt: ordinal, value: jsonSchema })),
  event(
    "tool_result",
    z.object({
      callId: z.string(),
      attempt: count,
      outcome: toolOutcomeSchema,
      from: callPhase,
      output: jsonSchema.optional(),
      error: faultSchema.optional(),
      /** The call was settled before: recorded for the reader, changes nothing. */
      late: z.literal(true).optional(),
    }),
  ),
  event(
    "interrupt",
    z.object({
      by: z.string(),
      reason: z.string(),
      mode: interruptMode,
      /** The run ends as `cancelled` instead of resting as interrupted. */
      cancel: z.literal(true).optional(),
      /** The input that redirects the run: it goes on with it as soon as everything is quiet. */
      redirect: z.string().optional(),
    }),
  ),
  event(
    "interrupted",
    z.object({
      by: z.string(),
      reason: z.string(),
      mode: interruptMode,
      /** Where the run stood when it was asked to stop: a state of the chart, such as `thinking.streaming`. */
      where: z.string(),
      step: count,
      messageId: z.string().optional(),
      /** UTF-16 units of the partial answer that were kept. */
      keptChars: count,
      /** Milliseconds from the request to this event, on the monotonic clock. 0 where nothing was requested (a limit). */
      latencyMs: z.number(),
      ...restFields,
    }),
  ),
  event(
    "resume",
    z.object({
      by: z.string(),
      partial: partialPolicy,
      inputId: z.string().optional(),
      budget: z.record(z.string(), z.number()).optional(),
      ...callerFields,
    }),
  ),
  event(
    "input_delivered",
    z.object({
      id: z.string(),
      delivered: z.boolean(),
      /** `step`: heard at a step boundary. `done`: heard as the next turn. */
      queue: z.enum(["step", "done"]),
      step: ordinal.optional(),
      reason: z.string().optional(),
    }),
  ),
  event(
    "retry",
    z.object({
      step: ordinal,
      /** The one to come. What the one before it said is superseded. */
      attempt: ordinal,
      delayMs: z.number().nonnegative(),
      reason: z.string(),
      /** The class of the error. */
      class: z.string().optional(),
      /** It goes to the model of this place in the agent's list, from 0. */
      fallback: count.optional(),
      /** UTF-16 units of text that the superseded attempt had said. */
      superseded: count.optional(),
      ...spentFields,
    }),
  ),
  event("retry_due", z.object({ step: ordinal, attempt: ordinal })),
  event("deadline", z.object({ name: z.string(), callId: z.string().optional() })),
  event(
    "error",
    z.object({
      source: z.enum(["model", "tool", "log", "background"]),
      code: z.string(),
      class: z.string().optional(),
      severity: z.enum(["low", "medium", "high", "critical"]),
      retryable: z.boolean(),
      message: z.string(),
      callId: z.string().optional(),
    }),
  ),
  event("limit", z.object({ kind: z.string(), used: z.number(), max: z.number(), raise: z.string() })),
  /**
   * Deltas that were dropped from the log. Its seq is that of the last; `digest` is of the bytes that were there. With an empty digest it is no event of
   * the log, but tells a slow subscriber what its queue dropped: the log has it.
   */
  event("gap", z.object({ from: ordinal, to: ordinal, digest: z.string() })),
  event("custom", z.object({ name: z.string(), data: jsonSchema, callId: z.string().optional() })),
  event("done", z.object({ output: z.string(), ...restFields })),
  event("failed", z.object({ error: faultSchema, ...restFields })),
  event("cancelled", z.object({ by: z.string(), reason: z.string(), ...restFields })),
]);

/** Anything that happened in a run. Read-only: what is handed out is what the log holds, and to change it would change what happened. */
export type Event = DeepReadonly<z.infer<typeof eventSchema>>;
export type EventType = Event["type"];
export type EventOf<Type extends EventType> = Extract<Event, { type: Type }>;
export type EventData<Type extends EventType> = EventOf<Type>["data"];

type WithoutEnvelope<E> = E extends Event ? Omit<E, "seq" | "timestamp" | "runId"> : never;
/** An event before the run gave it its place: no seq, no time. */
export type Draft = WithoutEnvelope<Event>;

/** Every event type, in the order of the table in the README. */
export const EVENT_TYPES: readonly EventType[] = eventSchema.options.map((option) => option.shape.type.value);

/** Checks that a value is an event. Throws zod's error, which names the field. */
export function parseEvent(value: unknown): Event {
  return eventSchema.parse(value);
}

export type HotEvent = EventOf<"token_stream" | "tool_call_delta" | "tool_progress">;

/** Whether an answer was cut: its calls are dropped, and no retry follows. */
export function isCut({ finish }: Pick<EventData<"message">, "finish">): boolean {
  return finish === "interrupted" || finish === "truncated";
}

/** True for the deltas between control events. They reach subscribers of the same process before they are durable. */
export function isHot(event: Event): event is HotEvent {
  return event.type === "token_stream" || event.type === "tool_call_delta" || event.type === "tool_progress";
}

/** The first seq that an event stands for: its own, but for a gap. */
export function firstSeq(event: Event): number {
  return event.type === "gap" ? event.data.from : event.seq;
}

/** True for what is recorded and changes nothing about where the run stands. */
export function isNote(event: Event): boolean {
  switch (event.type) {
    case "custom":
      return true;
    case "tool_result":
      return event.data.late === true;
    case "error":
      return event.data.source !== "model";
    default:
      return false;
  }
}

/** True for the events that end a turn: at most one of them per turn, and nothing but notes after it until the next turn begins. */
export function isTerminal(event: Event): event is EventOf<"done" | "interrupted" | "failed" | "cancelled"> {
  return event.type === "done" || event.type === "interrupted" || event.type === "failed" || event.type === "cancelled";
}
