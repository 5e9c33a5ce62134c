import { MAX_RECOVERIES } from "./agent-rules.ts";
import type { EffectName } from "./agent.ts";
import { REDUCER_VERSION, type Draft, type EventData } from "./events.ts";
import { costOf, estimateUsage, reachedLimit, type Price } from "./limits.ts";
import type { AgentState, PartialAnswer, ToolCallState } from "./state.ts";
import { stateHash } from "./state-hash.ts";

/** What only the shell knows and the derived events carry. */
export interface Facts {
  /** Name of the model that the next request goes to. */
  readonly model: string;
  /** Milliseconds since the interrupt was accepted, on the monotonic clock. */
  readonly interruptedForMs: number;
  /** Of the model that is asked, where the program gave one. */
  readonly price?: Price | undefined;
}

type Rest = Pick<EventData<"done">, "usage" | "steps" | "stateHash" | "reducer">;

/** Stands in a draft until {@link seal} fills it: what these fields say depends on the events before it in its batch. */
const UNSEALED: Rest = {
  usage: { inputTokens: 0, outputTokens: 0, requests: 0, unknownRequests: 0 },
  steps: 0,
  stateHash: "",
  reducer: REDUCER_VERSION,
};

/**
 * The events that an effect stands for, where they follow from the state alone: the same state always gives the same events, in the process
 * that got there and in one that recovers it. Effects that need the world (a request, a tool, a timer) give none. An effect that was
 * overtaken gives events that `step()` then refuses, or none.
 */
export function derive(state: AgentState, effect: EffectName, facts: Facts): Draft[] {
  switch (effect) {
    case "prepare":
      return state.value === "thinking.preparing" ? request(state, facts) : [];
    case "finish":
      return state.value === "thinking.finishing"
        ? [{ type: "done", data: { output: state.output, ...UNSEALED } }]
        : [];
    case "follow_up":
      return followUp(state);
    case "refuse_inputs":
      return refusals(state, "forked");
    case "skip":
      return state.core.calls.flatMap((call) => (isUnstarted(call) ? [unstarted(call, "skipped")] : []));
    case "dispatch":
      return state.core.calls.flatMap((call) => (call.phase === "refused" ? [unstarted(call, "rejected")] : []));
    case "settle":
      return settle(state, facts);
    case "recover":
      return isAnswering(state)
        ? [
            {
              type: "failed",
              data: { error: state.error ?? { code: "unknown", message: "The model failed." }, ...UNSEALED },
            },
          ]
        : [];
    default:
      return [];
  }
}

/** Fills what every event that ends a turn carries, from the state that it is recorded in. Other drafts stay as they are. */
export function seal(state: AgentState, draft: Draft): Draft {
  switch (draft.type) {
    case "done":
      return { ...draft, data: sealed(draft.data, state) };
    case "interrupted":
      return { ...draft, data: sealed(draft.data, state) };
    case "failed":
      return { ...draft, data: sealed(draft.data, state) };
    case "cancelled":
      return { ...draft, data: sealed(draft.data, state) };
    default:
      return draft;
  }
}

function sealed<Data extends Rest>(data: Data, state: AgentState): Data {
  return { ...data, usage: state.usage, steps: state.step, stateHash: stateHash(state), reducer: REDUCER_VERSION };
}

/** The receipts of a cancelled run's inputs, before `cancelled` itself. */
export function cancelDrafts(state: AgentState, by: string, reason: string): Draft[] {
  return [...refusals(state, "cancelled"), { type: "cancelled", data: { by, reason, ...UNSEALED } }];
}

/** The receipts of inputs that nobody will hear any more. */
function refusals(state: AgentState, reason: string): Draft[] {
  return state.inputs.map(({ id, queue }): Draft => ({
    type: "input_delivered",
    data: { id, delivered: false, queue, reason },
  }));
}

function request(state: AgentState, { model }: Facts): Draft[] {
  const limit = reachedLimit(state);
  if (limit !== undefined) return [{ type: "limit", data: limit }];
  const { core, partial } = state;
  const step = core.retry?.step ?? core.context.step + 1;
  const drafts: Draft[] = [];
  for (const { id, queue } of core.inputs) {
    if (queue === "step") drafts.push({ type: "input_delivered", data: { id, delivered: true, queue, step } });
  }
  const continues = partial !== undefined && drafts.length === 0;
  const thinking: Draft = {
    type: "thinking",
    data: {
      step,
      attempt: core.retry?.attempt ?? (continues ? partial.attempt + 1 : 1),
      messageId: continues ? partial.messageId : `m${step}`,
      model,
    },
  };
  if (drafts.length === 0) return [thinking];
  drafts.push(thinking);
  return drafts;
}

/** Follow-ups are heard one per turn: each gets its own answer. */
function followUp(state: AgentState): Draft[] {
  if (state.value !== "done") return [];
  const input = state.inputs.find((waiting) => waiting.queue === "done");
  if (input === undefined) return [];
  const step = state.step + 1;
  return [{ type: "input_delivered", data: { id: input.id, delivered: true, queue: "done", step } }];
}

/** Ends the stop once everything is quiet: the cut message, then the limit or the interrupt, then what already waits to go on. */
function settle(state: AgentState, facts: Facts): Draft[] {
  const { core, partial } = state;
  const { context, interrupt } = core;
  if (state.value !== "interrupted.draining") return [];
  if (context.expected + context.pending + context.ready + context.running > 0) return [];

  const givenUp = core.recoveries >= MAX_RECOVERIES && interrupt === undefined && context.limit !== "tripped";
  const drafts: Draft[] = givenUp || context.cancelling ? unknownDrafts(state) : [];
  if (partial !== undefined && (partial.text.length > partial.base.length || partial.base !== ""))
    drafts.push(cutMessage(state, partial, facts.price));
  if (context.cancelling) return [...drafts, ...cancelDrafts(state, interrupt?.by ?? "user", interrupt?.reason ?? "")];

  if (givenUp) {
    const message = `It was recovered ${core.recoveries} times in a row and never got any further. Resume to try again.`;
    return [...drafts, { type: "failed", data: { error: { code: "recoveries", message }, ...UNSEALED } }];
  }

  if (context.limit === "tripped") drafts.push({ type: "limit", data: limitOf(state) });
  const cause = interrupt === undefined ? {} : { cause: interrupt.cause };
  // One that was recovered too often, and that somebody said something to before it was given up.
  const recovered = interrupt === undefined && context.limit === "none";
  drafts.push({
    type: "interrupted",
    data: {
      by: interrupt?.by ?? (recovered ? "recovery" : "limit"),
      reason: interrupt?.reason ?? (recovered ? "recoveries" : (core.limit?.kind ?? "max_steps")),
      mode: interrupt?.mode ?? "step",
      where: interrupt?.where ?? (context.limit === "tripped" ? "acting.executing" : "thinking.preparing"),
      step: state.step,
      ...(partial === undefined ? {} : { messageId: partial.messageId }),
      keptChars: keptChars(state),
      latencyMs: interrupt === undefined ? 0 : facts.interruptedForMs,
      ...UNSEALED,
    },
    ...cause,
  });
  // A budget has to be raised first: what was said meanwhile waits.
  if (context.resuming === "input" && context.orphans === 0 && context.limit !== "budget") {
    const inputId = interrupt?.redirect ?? core.inputs.findLast((input) => input.queue === "step")?.id;
    drafts.push({
      type: "resume",
      data: { by: "input", partial: "keep", ...(inputId === undefined ? {} : { inputId }) },
      ...cause,
    });
  }
  return drafts;
}

/** For calls that a process left behind, once nobody is to be asked about them any more. */
export function unknownDrafts(state: AgentState): Draft[] {
  return state.orphans.map(({ callId, attempt }) => ({
    type: "tool_result",
    data: { callId, attempt, outcome: "unknown", from: "orphaned" },
  }));
}

function keptChars({ core, partial }: AgentState): number {
  if (partial !== undefined) return partial.text.length;
  return core.cut?.text.length ?? 0;
}

function cutMessage(state: AgentState, partial: PartialAnswer, price: Price | undefined): Draft {
  const estimate = estimateUsage(state);
  return {
    type: "message",
    data: {
      messageId: partial.messageId,
      step: state.step,
      attempt: partial.attempt,
      finish: "interrupted",
      text: partial.text,
      ...(partial.reasoning === "" ? {} : { reasoning: partial.reasoning }),
      calls: [],
      usage: "unknown",
      estimate,
      ...(price === undefined ? {} : { cost: costOf(estimate, price) }),
    },
  };
}

function limitOf({ core }: AgentState): EventData<"limit"> {
  const { turnSteps, maxSteps } = core.context;
  return {
    kind: "max_steps",
    used: turnSteps,
    max: maxSteps,
    raise: "Resume to grant the same number of steps again, or create the agent with a higher maxSteps.",
  };
}

function isAnswering(state: AgentState): boolean {
  return state.value === "thinking.requesting" || state.value === "thinking.streaming";
}

function isUnstarted(call: ToolCallState): boolean {
  return (
    call.phase === "complete" ||
    call.phase === "awaiting_approval" ||
    call.phase === "ready" ||
    call.phase === "refused"
  );
}

function unstarted(call: ToolCallState, outcome: "skipped" | "rejected"): Draft {
  const { callId, attempt, phase, error } = call;
  const from = phase === "complete" || phase === "awaiting_approval" || phase === "refused" ? phase : "ready";
  // The reason that a person gave.
  if (outcome === "rejected" && error !== undefined)
    return { type: "tool_result", data: { callId, attempt, outcome, from, error } };
  return { type: "tool_result", data: { callId, attempt, outcome, from } };
}
