import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { Json, PartialPolicy } from "../machines/events.ts";
import { messageListProblem, messageSchema, type Message } from "../machines/messages.ts";
import type { Tool } from "../tools/tool.ts";
import { toJson } from "./arguments.ts";
import { checkKeys, checkOption, isDelay } from "./checks.ts";
import { systemClock, type Clock } from "./clock.ts";
import { messageOf, RubatoError } from "./errors.ts";
import type { Price } from "../machines/limits.ts";
import { approvalsOf, type AgentApproval } from "./approvals.ts";
import type { EventLog } from "./log/event-log.ts";
import { memoryLog } from "./log/memory.ts";
import type { ChatModel } from "./models/chat-model.ts";
import type { ModelTimeouts } from "./model-watch.ts";
import type { Redact } from "./redact.ts";
import { isLogger, type Logger } from "./logger.ts";
import type { CallerOptions } from "./run.ts";
import { retryPolicy, type RetryOptions } from "./retry.ts";
import { isInspector, type InspectOptions, type XStateInspector } from "./shadow.ts";

export interface AgentOptions<Context = unknown> {
  /** What it is called in logs and lists. */
  readonly name: string;
  /** What the model is told first. Default none. */
  readonly instructions?: string;
  /** A list: the next one is asked where one fails for good, or has failed too often. Every turn begins with the first. */
  readonly model: ChatModel | readonly ChatModel[];
  readonly tools?: readonly Tool<Context>[];
  /** Where runs are kept. Default: in memory. */
  readonly log?: EventLog;
  /** Model requests per turn, from 1. Default 10. At the limit the run rests and can be resumed. */
  readonly maxSteps?: number;
  /** Identical steps in a row (the same calls, arguments and results) at which the run rests; 0 for never. Default 5. */
  readonly maxRepeats?: number;
  /** What a run may use. Where it is used up the run rests and says what to raise. Default: no such limits. */
  readonly budget?: Budget;
  /** What tokens cost, by the name of the model: per million, in any one currency. Needed for a budget of cost. */
  readonly prices?: Readonly<Record<string, Price>>;
  /** Whom to ask before a tool is called. Default: what each tool says. */
  readonly approval?: AgentApproval<Context>;
  /** How long a person has to answer, ms. Then the call is rejected. Default 86,400,000 (a day). */
  readonly approvalTimeoutMs?: number;
  /** How failed requests are made again. */
  readonly retry?: RetryOptions;
  /** How long a request may take. */
  readonly timeouts?: Partial<ModelTimeouts>;
  /** Tool calls of one step that execute at once, from 1. Default 5. */
  readonly toolConcurrency?: number;
  /** For tools that name no timeout of their own, ms. Default 300,000. */
  readonly toolTimeoutMs?: number;
  /** How long a tool that was told to stop gets before it is given up as `unknown`, ms. Default 5,000. */
  readonly graceMs?: number;
  /** How long the log may take to store an event before the run stops without it, ms. Default 30,000. */
  readonly logTimeoutMs?: number;
  /** How long a command waits for the process that owns the run, ms. Default 5,000. */
  readonly answerTimeoutMs?: number;
  /** Takes out of every text what must not be recorded. What it takes out is gone for the model and for tools as well. Default: nothing. */
  readonly redact?: Redact;
  /** One line per control event, such as pino's. Texts of people, models and tools are not in it. Default none. */
  readonly logger?: Logger;
  /** Counts from the start what {@link Agent.metrics} answers. Default false: then it counts from the first time that somebody asks. */
  readonly metrics?: boolean;
  /** Shows every run to an XState inspector, such as that of `@statelyai/inspect`, from an actor beside it. Default none. */
  readonly inspect?: XStateInspector | InspectOptions;
  /**
   * Hands W3C trace context on: with requests to models (`request.traceparent`, which {@link openaiModel} sends as a header) and to tools
   * (`ctx.traceparent`). Default: where the run or the turn was begun with a `traceparent`.
   */
  readonly propagate?: boolean;
  /** Time. Default the system's. */
  readonly clock?: Clock;
  /** From 0 to below 1, for the waits before retries. Default Math.random. */
  readonly random?: () => number;
  /** Makes run ids. Default random UUIDs. */
  readonly newRunId?: () => string;
}

/** What a run may use. Tokens whose number nobody told are estimated. */
export interface Budget {
  /** Calls that start, from 0. Those over it are skipped. */
  readonly toolCalls?: number;
  readonly inputTokens?: number;
  readonly outputTokens?: number;
  /** By {@link AgentOptions.prices}. */
  readonly cost?: number;
  /** Milliseconds that the run works, its rests left out. Looked at between steps: what is under way ends first. */
  readonly wallMs?: number;
}

/** The spans of the run belong to the trace of its caller, but for turns that somebody else begins who names another one. */
export interface RunOptions<Context = unknown> extends CallerOptions {
  /** 1 to 128 characters of `A-Z a-z 0-9 . _ -`, not beginning with a dot. Default random. */
  readonly runId?: string;
  /** Aborting it interrupts the run (mode `now`); the run can be resumed. */
  readonly signal?: AbortSignal;
  /** Reaches tools as `ctx.context`. Never logged. */
  readonly context?: Context;
  /** An earlier conversation to go on from. Each call in it must have exactly one result. */
  readonly messages?: readonly Message[];
  /** Plain JSON, kept with the run and shown in lists. */
  readonly metadata?: Readonly<Record<string, Json>>;
}

/** The context is optional only where its type allows that there is none. */
export type RunArguments<Context> = undefined extends Context
  ? [options?: RunOptions<Context>]
  : [options: RunOptions<Context> & { readonly context: Context }];

export interface OpenOptions<Context = unknown> {
  /** Reaches tools as `ctx.context`, should this process come to own the run. Never logged, so it is supplied again. */
  readonly context?: Context;
  /** Go on also with other instructions or tools than the run was begun with. Default false. */
  readonly allowChanged?: boolean;
}

export interface ResumeRunOptions<Context = unknown> extends OpenOptions<Context>, CallerOptions {
  /** Also from a process that lives: it can append nothing any more. Default false. */
  readonly takeover?: boolean;
  /** What becomes of the text of an answer that was cut by an interrupt. Default `keep`. */
  readonly partial?: PartialPolicy;
  /** Raises what the run rests at. */
  readonly budget?: Readonly<Record<string, number>>;
}

export interface ForkRunOptions<Context = unknown> extends Pick<OpenOptions<Context>, "context">, CallerOptions {
  /** The last seq that the copy has, from 1. */
  readonly at: number;
  /** What it goes on with. Without it the fork rests. */
  readonly instruction?: string;
  /** Another model, for the fork alone. */
  readonly model?: ChatModel;
  /** What calls answer in the copy instead of what they answered, by `callId`. */
  readonly results?: Readonly<Record<string, { readonly output: Json } | { readonly error: string }>>;
  /** The id of the fork. Default random. */
  readonly runId?: string;
}

const AGENT_KEYS = [
  "name",
  "instructions",
  "model",
  "tools",
  "log",
  "maxSteps",
  "maxRepeats",
  "budget",
  "prices",
  "approval",
  "approvalTimeoutMs",
  "retry",
  "timeouts",
  "random",
  "toolConcurrency",
  "toolTimeoutMs",
  "graceMs",
  "logTimeoutMs",
  "answerTimeoutMs",
  "redact",
  "logger",
  "metrics",
  "inspect",
  "propagate",
  "clock",
  "newRunId",
] as const;
export const OPEN_KEYS = ["context", "allowChanged"] as const;
const CALLER_KEYS = ["traceparent", "tracestate"] as const;
export const RESUME_KEYS = ["context", "takeover", "allowChanged", "partial", "budget", ...CALLER_KEYS] as const;
export const FORK_KEYS = ["at", "instruction", "model", "results", "runId", "context", ...CALLER_KEYS] as const;
export const RUN_KEYS = ["runId", "signal", "context", "messages", "metadata", ...CALLER_KEYS] as const;

/** The options with their defaults. Throws {@link RubatoError} `invalid_option`, with what was received and what to do. */
export function settingsOf<Context>(options: AgentOptions<Context>) {
  checkKeys("createAgent", options, AGENT_KEYS);
  const {
    name,
    instructions = "",
    model,
    tools = [],
    log = memoryLog(),
    maxSteps = 10,
    maxRepeats = 5,
    budget = {},
    prices = NO_PRICES,
    approval,
    approvalTimeoutMs = 86_400_000,
    retry,
    timeouts,
    random,
    toolConcurrency = 5,
    toolTimeoutMs = 300_000,
    graceMs = 5_000,
    logTimeoutMs = 30_000,
    answerTimeoutMs = 5_000,
    redact,
    logger,
    metrics = false,
    inspect,
    propagate,
    clock = systemClock,
    newRunId = randomRunId,
  } = options;
  checkOption("name", name, typeof name === "string" && name.trim() !== "", "a name");
  checkOption("instructions", instructions, typeof instructions === "string", "a text");
  const models = modelsOf(model);
  checkOption("maxRepeats", maxRepeats, Number.isInteger(maxRepeats) && maxRepeats >= 0, "a whole number from 0");
  checkBudget("budget", budget);
  checkPrices(prices);
  if (budget.cost !== undefined) for (const one of models) checkPriced(prices, one.name);
  checkOption(
    "approval",
    approval,
    approval === undefined || approval === "never" || approval === "always" || typeof approval === "function",
    '"never", "always" or a function of the call',
  );
  checkOption(
    "approvalTimeoutMs",
    approvalTimeoutMs,
    Number.isSafeInteger(approvalTimeoutMs) && approvalTimeoutMs > 0,
    "milliseconds from 1",
  );
  checkOption("random", typeof random, random === undefined || typeof random === "function", "a function");
  checkOption("maxSteps", maxSteps, isCount(maxSteps), "a whole number from 1");
  checkOption("toolConcurrency", toolConcurrency, isCount(toolConcurrency), "a whole number from 1");
  checkOption("toolTimeoutMs", toolTimeoutMs, isDelay(toolTimeoutMs, 1), "milliseconds from 1 to 2147483647");
  checkOption("graceMs", graceMs, isDelay(graceMs, 0), "milliseconds from 0 to 2147483647");
  checkOption("logTimeoutMs", logTimeoutMs, isDelay(logTimeoutMs, 1), "milliseconds from 1 to 2147483647");
  checkOption("answerTimeoutMs", answerTimeoutMs, isDelay(answerTimeoutMs, 1), "milliseconds from 1 to 2147483647");
  checkOption("redact", typeof redact, redact === undefined || typeof redact === "function", "a function of a text");
  checkOption("logger", typeof logger, logger === undefined || isLogger(logger), "{ debug, info, warn, error }");
  checkOption("metrics", metrics, typeof metrics === "boolean", "true or false");
  checkOption("inspect", typeof inspect, inspect === undefined || isInspector(inspect), "an XState inspector");
  checkOption("propagate", propagate, propagate === undefined || typeof propagate === "boolean", "true or false");
  return {
    name,
    instructions,
    models,
    tools,
    log,
    limits: { maxSteps, ...budget, ...(maxRepeats === 0 ? {} : { maxRepeats }) },
    prices,
    approvals: approvalsOf(approval, approvalTimeoutMs),
    retry: retryPolicy(retry, random),
    timeouts: timeouts === undefined ? DEFAULT_TIMEOUTS : timeoutsOf(timeouts),
    toolConcurrency,
    toolTimeoutMs,
    graceMs,
    logTimeoutMs,
    answerTimeoutMs,
    redact,
    logger,
    metrics,
    inspect,
    propagate,
    clock,
    newRunId,
  };
}

function randomRunId(): string {
  return `run_${randomUUID()}`;
}

function isCount(value: number): boolean {
  return Number.isInteger(value) && value > 0;
}

function modelsOf(model: ChatModel | readonly ChatModel[]): readonly [ChatModel, ...ChatModel[]] {
  const [first, ...others] = isList(model) ? model : [model];
  if (first === undefined)
    throw new RubatoError("invalid_option", 'Option "model" is an empty list. Give at least one model.');
  for (const one of [first, ...others]) {
    checkOption("model", typeof one, typeof one?.stream === "function", "a ChatModel, such as openaiModel({ model })");
  }
  return [first, ...others];
}

function isList(model: ChatModel | readonly ChatModel[]): model is readonly ChatModel[] {
  return Array.isArray(model);
}

const BUDGET_KEYS = ["toolCalls", "inputTokens", "outputTokens", "cost", "wallMs"] as const;

/** Also of what a resume raises, where `maxSteps` may be raised as well. */
export function checkBudget(
  what: string,
  budget: Readonly<Record<string, number>> | Budget,
  more: readonly string[] = [],
): void {
  checkKeys(what, budget, [...BUDGET_KEYS, ...more]);
  for (const [name, value] of Object.entries(budget)) {
    const whole = name === "cost" || Number.isSafeInteger(value);
    const least = name === "maxSteps" ? 1 : 0;
    const ok = typeof value === "number" && Number.isFinite(value) && value >= least && whole;
    checkOption(`${what}.${name}`, value, ok, `a${whole ? "" : " whole"} number from ${least}`);
  }
}

function checkPrices(prices: Readonly<Record<string, Price>>): void {
  for (const [name, price] of Object.entries(prices)) {
    const ok = isPrice(price?.input) && isPrice(price?.output);
    checkOption(`prices["${name}"]`, price, ok, "{ input, output }, each a number from 0 per million tokens");
  }
}

/** Without a price nobody can tell what a model costs, and a budget of cost would never end. */
export function checkPriced(prices: Readonly<Record<string, Price>>, model: string): void {
  if (Object.hasOwn(prices, model)) return;
  throw new RubatoError(
    "invalid_option",
    `Option "budget.cost" needs the price of every model, and there is none for "${model}". Add it to prices: { "${model}": { input, output } }.`,
  );
}

function isPrice(value: unknown): boolean {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}

function timeoutsOf(timeouts: Partial<ModelTimeouts>): ModelTimeouts {
  checkKeys("timeouts", timeouts, ["firstByteMs", "idleMs", "totalMs"]);
  for (const [name, ms] of Object.entries(timeouts)) {
    checkOption(`timeouts.${name}`, ms, ms === undefined || isDelay(ms, 1), "milliseconds from 1 to 2147483647");
  }
  const { firstByteMs = 120_000, idleMs = 60_000, totalMs = 1_800_000 } = timeouts;
  return { firstByteMs, idleMs, totalMs };
}

// One for all agents that ask for no other.
const NO_PRICES: Readonly<Record<string, Price>> = Object.freeze({});
const DEFAULT_TIMEOUTS = timeoutsOf({});

export function checkMessages(messages: readonly Message[]): Message[] {
  const parsed = z.array(messageSchema).safeParse(messages);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new RubatoError("invalid_input", `messages[${issue?.path.join(".")}]: ${issue?.message}.`);
  }
  const problem = messageListProblem(parsed.data);
  if (problem !== undefined) {
    throw new RubatoError(
      "invalid_input",
      `The imported messages are not valid: ${problem}. Give each call exactly one result.`,
    );
  }
  return parsed.data;
}

export function checkMetadata(metadata: Readonly<Record<string, Json>>): Record<string, Json> {
  try {
    return Object.fromEntries(Object.entries(metadata).map(([key, value]) => [key, toJson(value)]));
  } catch (error) {
    throw new RubatoError("invalid_option", `Option "metadata" must be plain JSON: ${messageOf(error)}.`, {
      cause: error,
    });
  }
}
