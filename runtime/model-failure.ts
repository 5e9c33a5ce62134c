import type { Draft, EventData, EventOf } from "../machines/events.ts";
import { costOf, estimateUsage, type Price } from "../machines/limits.ts";
import type { AgentState } from "../machines/state.ts";
import type { Clock } from "./clock.ts";
import { classify, wasNotAsked } from "./error-class.ts";
import { messageOf } from "./errors.ts";
import type { RetryPolicy, Verdict } from "./retry.ts";

/** What decides about a request that failed. */
export interface FailedRequest {
  readonly state: AgentState;
  readonly runId: string;
  readonly thinking: EventOf<"thinking">;
  readonly clock: Clock;
  readonly retry: RetryPolicy;
  /** How many models the agent has. */
  readonly models: number;
  readonly price: Price | undefined;
}

/**
 * What is recorded of a request that failed: the error, and either that it is made again (then the attempt leaves no message, P30), or that another
 * model is asked, or what the answer had said so far, cut.
 */
export function failureDrafts(thrown: unknown, request: FailedRequest): Draft[] {
  const { state, runId, thinking, clock } = request;
  const error = classify(thrown, messageOf(thrown), clock.now());
  const { step, attempt, model } = thinking.data;
  const { retries } = state.core.control;
  const context = { runId, step, attempt, retries, model };
  // Where the run is to stop, every end of the step leads there (P18).
  const verdict: Verdict = state.interruptRequested
    ? { do: "fail" }
    : request.retry.decide(error, context, clock.monotonic());
  const again = verdict.do === "retry";
  const next = again ? undefined : nextModel(request);
  const ends = !again && next === undefined;
  const told: Draft = {
    type: "error",
    data: {
      source: "model",
      code: error.code,
      class: error.class,
      severity: ends ? "high" : "medium",
      retryable: error.retryable,
      message: verdict.do === "fail" && verdict.why !== undefined ? `${error.message} ${verdict.why}` : error.message,
    },
  };
  if (ends) return [...cut(state, thinking, request.price), told];
  const { partial } = state;
  const spent = wasNotAsked(thrown) ? undefined : spentOn(state, request.price);
  const superseded = partial === undefined ? 0 : partial.text.length - partial.base.length;
  const retry: EventData<"retry"> = {
    step,
    attempt: attempt + 1,
    delayMs: verdict.do === "retry" ? verdict.delayMs : 0,
    reason: error.message,
    class: error.class,
    ...(next === undefined ? {} : { fallback: next }),
    ...(superseded === 0 ? {} : { superseded }),
    ...spent,
  };
  return [told, { type: "retry", data: retry }];
}

function nextModel({ state, models }: FailedRequest): number | undefined {
  if (state.interruptRequested) return undefined;
  const next = state.core.control.model + 1;
  return next < models ? next : undefined;
}

/** The message that the answer is as far as it came. */
function cut(state: AgentState, thinking: EventOf<"thinking">, price: Price | undefined): Draft[] {
  const { partial } = state;
  if (partial === undefined || partial.text === "") return [];
  const { messageId, attempt, step } = thinking.data;
  const { text, reasoning } = partial;
  return [
    {
      type: "message",
      data: {
        messageId,
        step,
        attempt,
        finish: "truncated",
        text,
        ...(reasoning === "" ? {} : { reasoning }),
        calls: [],
        usage: "unknown",
        ...spentOn(state, price),
      },
    },
  ];
}

/** What a request may have used that nobody tells. */
export function spentOn(state: AgentState, price: Price | undefined): Pick<EventData<"message">, "estimate" | "cost"> {
  const estimate = estimateUsage(state);
  return price === undefined ? { estimate } : { estimate, cost: costOf(estimate, price) };
}
