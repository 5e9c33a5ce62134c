import { z } from "zod";
import { copyOf, INITIAL_CONTEXT } from "./agent-rules.ts";
import { NO_CONTROL } from "./control.ts";
import { eventSchema, jsonSchema, limitsSchema, REDUCER_VERSION, type Json } from "./events.ts";
import { hashText } from "./hash.ts";
import { messageSchema, toolOutcomeSchema } from "./messages.ts";
import { AgentState, type Core } from "./state.ts";
import { CHART_HASH } from "./step.ts";
import { itemsOf, timelineOf } from "./timeline.ts";

/**
 * A state as JSON, so that a long log need not be folded from its start. Nothing but a cache: the log stays the truth, and a snapshot that is
 * damaged, or that other charts or another reducer made, is no snapshot.
 *
 * S1 `encodeState(decodeSnapshot(encodeSnapshot(s)))` is `encodeState(s)`, and folding on from either gives the same bytes.
 * S2 The hash covers every byte of the text: what does not match is ignored. It finds damage, not deceit.
 */
const FORMAT = 1;

/** Snapshots of another key say nothing to this version. */
export const SNAPSHOT_KEY = `${FORMAT}-${REDUCER_VERSION}-${CHART_HASH}`;

const envelopeSchema = z.object({ key: z.string(), hash: z.string(), text: z.string() });

const [runStart] = eventSchema.options;
const count = z.number().int().nonnegative();
const fault = z.object({ code: z.string(), message: z.string() });
const usage = z.object({
  inputTokens: count,
  outputTokens: count,
  requests: count,
  unknownRequests: count,
  estimated: z.object({ inputTokens: count, outputTokens: count }).optional(),
  cost: z.number().optional(),
});
const control = z.object({
  limits: limitsSchema.omit({ maxSteps: true, maxRepeats: true }).optional(),
  toolCalls: count,
  workedMs: z.number(),
  workedAt: z.number().optional(),
  timeUp: z.boolean(),
  allowed: z.array(z.string()),
  model: count,
  retries: count,
});
const queue = z.enum(["step", "done"]);
const call = z.object({
  callId: z.string(),
  providerCallId: z.string(),
  name: z.string(),
  phase: z.string(),
  attempt: count,
  rawArgs: z.string(),
  args: jsonSchema.optional(),
  outcome: toolOutcomeSchema.optional(),
  output: jsonSchema.optional(),
  error: fault.optional(),
  approval: z
    .object({ argsHash: z.string(), expiresAt: z.number().optional(), answer: z.string().optional() })
    .optional(),
});
const caller = z.object({ traceparent: z.string(), tracestate: z.string().optional() });
const context = z.object({
  turn: count,
  step: count,
  turnSteps: count,
  maxSteps: count,
  interrupt: z.enum(["none", "step", "now"]),
  cancelling: z.boolean(),
  resuming: z.enum(["no", "input", "recorded"]),
  next: z.number(),
  after: z.number(),
  expected: z.number(),
  pending: z.number(),
  ready: z.number(),
  running: z.number(),
  orphans: z.number(),
  limit: z.enum(["none", "tripped", "steps", "budget"]),
  complete: z.boolean(),
});
const partial = z.object({
  messageId: z.string(),
  attempt: count,
  base: z.string(),
  text: z.string(),
  reasoning: z.string(),
  calls: z.array(
    z.object({ index: count, callId: z.string(), providerCallId: z.string(), name: z.string(), args: z.string() }),
  ),
});
const stateSchema = z.object({
  seq: count,
  partial: partial.optional(),
  runId: z.string(),
  start: runStart.shape.data.optional(),
  value: z.string(),
  context,
  history: z.array(messageSchema),
  tail: z.array(messageSchema),
  settledCalls: z.array(call),
  calls: z.array(call),
  inputs: z.array(z.object({ id: z.string(), text: z.string(), queue, seq: count, caller: caller.optional() })),
  inputIds: z.array(z.object({ id: z.string(), seq: count })),
  usage,
  error: fault.optional(),
  interrupt: z
    .object({
      seq: count,
      by: z.string(),
      reason: z.string(),
      mode: z.enum(["step", "now"]),
      where: z.string(),
      cause: count,
      redirect: z.string().optional(),
    })
    .optional(),
  limit: z.object({ kind: z.string(), used: z.number(), max: z.number(), raise: z.string() }).optional(),
  policy: z.enum(["keep", "continue", "discard"]),
  cut: z.object({ messageId: z.string(), attempt: count, text: z.string() }).optional(),
  retry: z
    .object({ step: count, attempt: count, delayMs: z.number().optional(), dueAt: z.number().optional() })
    .optional(),
  control: control.optional(),
  caller: caller.optional(),
  nextCaller: caller.optional(),
  recoveries: count,
  output: z.string(),
  hashed: z.object({ count, hash: z.object({ high: z.number(), low: z.number() }) }),
});

/** The state as JSON. Its size is that of the conversation. */
export function encodeSnapshot(state: AgentState): Json {
  const { core, seq, partial } = state;
  const text = JSON.stringify({
    ...core,
    control: core.control === NO_CONTROL ? undefined : core.control,
    seq,
    partial,
    history: itemsOf(core.history),
    settledCalls: itemsOf(core.settledCalls),
    inputIds: itemsOf(core.inputIds),
  });
  return { key: SNAPSHOT_KEY, hash: hashText(text), text };
}

/** The state that was encoded; undefined for whatever else this is. */
export function decodeSnapshot(snapshot: Json): AgentState | undefined {
  const envelope = envelopeSchema.safeParse(snapshot);
  if (!envelope.success) return undefined;
  const { key, hash, text } = envelope.data;
  if (key !== SNAPSHOT_KEY || hash !== hashText(text)) return undefined;
  const parsed = stateSchema.safeParse(parse(text));
  return parsed.success ? stateOf(parsed.data) : undefined;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Field by field: what JSON leaves out is undefined here, and every state has all its fields. */
function stateOf({ seq, partial, ...data }: z.infer<typeof stateSchema>): AgentState {
  const core: Core = {
    start: data.start,
    runId: data.runId,
    value: data.value,
    // Its fields stand in the order that state hashes rely on, whatever order the text had.
    context: copyOf({ ...INITIAL_CONTEXT, ...data.context }),
    history: timelineOf(data.history),
    tail: data.tail,
    settledCalls: timelineOf(data.settledCalls.map(callOf)),
    calls: data.calls.map(callOf),
    inputs: data.inputs,
    inputIds: timelineOf(data.inputIds),
    usage: data.usage,
    error: data.error,
    interrupt: data.interrupt === undefined ? undefined : { ...data.interrupt, redirect: data.interrupt.redirect },
    limit: data.limit,
    policy: data.policy,
    cut: data.cut,
    retry: data.retry,
    control: data.control === undefined ? NO_CONTROL : controlOf(data.control),
    caller: data.caller,
    nextCaller: data.nextCaller,
    recoveries: data.recoveries,
    output: data.output,
    hashed: data.hashed,
  };
  return new AgentState(core, seq, partial);
}

function callOf(data: z.infer<typeof call>): Core["calls"][number] {
  const { callId, providerCallId, name, phase, attempt, rawArgs, args, outcome, output, error } = data;
  const approval =
    data.approval === undefined
      ? undefined
      : {
          argsHash: data.approval.argsHash,
          expiresAt: data.approval.expiresAt,
          answer: data.approval.answer,
        };
  return { callId, providerCallId, name, phase, attempt, rawArgs, args, outcome, output, error, approval };
}

function controlOf(data: z.infer<typeof control>): Core["control"] {
  const { limits, toolCalls, workedMs, workedAt, timeUp, allowed, model, retries } = data;
  return { limits, toolCalls, workedMs, workedAt, timeUp, allowed, model, retries };
}
