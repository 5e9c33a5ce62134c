import { randomUUID } from "node:crypto";
import { z } from "zod";
import { REDUCER_VERSION, SCHEMA_VERSION, type EventData, type Json } from "../machines/events.ts";
import { messageListProblem, messageSchema, type Message } from "../machines/messages.ts";
import type { Status } from "../machines/state.ts";
import { CHART_HASH } from "../machines/step.ts";
import type { Tool } from "../tools/tool.ts";
import { toJson } from "./arguments.ts";
import { checkPattern, createLane, type EventPattern, type Lane, type Listener } from "./bus.ts";
import { checkKeys, checkOption, checkText, isDelay } from "./checks.ts";
import { systemClock, type Clock } from "./clock.ts";
import { messageOf, RubatoError } from "./errors.ts";
import { createRun, type OwnedRun } from "./live-run.ts";
import type { EventLog, RunSummary } from "./log/event-log.ts";
import { memoryLog } from "./log/memory.ts";
import type { ChatModel } from "./models/chat-model.ts";
import type { Run } from "./run.ts";
import { checkTools, definitionHashOf, describeTools } from "./toolbox.ts";

export interface AgentOptions<Context = unknown> {
  /** What it is called in logs and lists. */
  readonly name: string;
  /** What the model is told first. Default none. */
  readonly instructions?: string;
  readonly model: ChatModel;
  readonly tools?: readonly Tool<Context>[];
  /** Where runs are kept. Default: in memory. */
  readonly log?: EventLog;
  /** Model requests per turn, from 1. Default 10. At the limit the run rests and can be resumed. */
  readonly maxSteps?: number;
  /** Tool calls of one step that execute at once, from 1. Default 5. */
  readonly toolConcurrency?: number;
  /** For tools that name no timeout of their own, ms. Default 300,000. */
  readonly toolTimeoutMs?: number;
  /** How long a tool that was told to stop gets before it is given up as `unknown`, ms. Default 5,000. */
  readonly graceMs?: number;
  /** Time. Default the system's. */
  readonly clock?: Clock;
  /** Makes run ids. Default random UUIDs. */
  readonly newRunId?: () => string;
}

export interface RunOptions<Context = unknown> {
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

/** Runs conversations with one model, one set of tools and one log. */
export interface Agent<Context = unknown> {
  readonly name: string;
  /** Starts a run at once. Throws {@link RubatoError} for a wrong option or an empty task. A runId that exists settles as `failed`. */
  run(task: string, ...options: RunArguments<Context>): Run;
  /** A run of this agent that lives in this process. Rejects with `unknown_run` for any other id. */
  open(runId: string): Promise<Run>;
  /** This agent's runs in the log, oldest first. */
  runs(filter?: { readonly status?: Status }): Promise<readonly RunSummary[]>;
  /** Calls the listener with the events of all runs, those to come included; one call at a time, each run in its order. */
  subscribe<Pattern extends EventPattern>(pattern: Pattern, listener: Listener<Pattern>): () => void;
  /** Interrupts what runs (it can be resumed), waits for it, and ends background work. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Runs at rest that an agent holds, so that `open` finds them without their log. */
const KEPT_AT_REST = 100;

interface Subscription {
  readonly attach: (owned: OwnedRun) => void;
}

/** Undoes are kept per run and weakly: a subscriber to all runs must not keep them alive. */
type Undoes = WeakMap<OwnedRun, () => void>;

const AGENT_KEYS = [
  "name",
  "instructions",
  "model",
  "tools",
  "log",
  "maxSteps",
  "toolConcurrency",
  "toolTimeoutMs",
  "graceMs",
  "clock",
  "newRunId",
] as const;
const RUN_KEYS = ["runId", "signal", "context", "messages", "metadata"] as const;

/** Makes an agent. Throws {@link RubatoError} `invalid_option` or `invalid_tool`, with what was received and what to do. */
export function createAgent<Context = unknown>(options: AgentOptions<Context>): Agent<Context> {
  checkKeys("createAgent", options, AGENT_KEYS);
  const {
    name,
    instructions = "",
    model,
    tools = [],
    log = memoryLog(),
    maxSteps = 10,
    toolConcurrency = 5,
    toolTimeoutMs = 300_000,
    graceMs = 5_000,
    clock = systemClock,
    newRunId = () => `run_${randomUUID()}`,
  } = options;
  checkOption("name", name, typeof name === "string" && name.trim() !== "", "a name");
  checkOption("instructions", instructions, typeof instructions === "string", "a text");
  checkOption(
    "model",
    typeof model,
    typeof model?.stream === "function",
    "a ChatModel, such as openaiModel({ model })",
  );
  checkOption("maxSteps", maxSteps, isCount(maxSteps), "a whole number from 1");
  checkOption("toolConcurrency", toolConcurrency, isCount(toolConcurrency), "a whole number from 1");
  checkOption("toolTimeoutMs", toolTimeoutMs, isDelay(toolTimeoutMs, 1), "milliseconds from 1 to 2147483647");
  checkOption("graceMs", graceMs, isDelay(graceMs, 0), "milliseconds from 0 to 2147483647");
  const toolMap = checkTools(tools);
  const descriptions = describeTools(tools);
  const definitionHash = definitionHashOf(instructions, descriptions);

  // A run that works is held, also where nobody else holds it; of those at rest the latest are. No weak references: a young one keeps all that
  // it names alive through every minor collection, which made a finished run dear.
  const working = new Set<OwnedRun>();
  const rested = new Set<OwnedRun>();
  const subscriptions = new Set<Subscription>();
  let closed = false;

  function run(task: string, ...[runOptions = {}]: RunArguments<Context> | []): Run {
    if (closed) throw new RubatoError("closed", "The agent was closed. Create a new one.");
    checkText("run", task);
    checkKeys("run", runOptions, RUN_KEYS);
    const { runId = newRunId(), signal, messages, metadata } = runOptions;
    checkOption("runId", runId, isRunId(runId), "1 to 128 characters of A-Z a-z 0-9 . _ -, not beginning with a dot");
    const start: EventData<"run_start"> = {
      schema: SCHEMA_VERSION,
      reducer: REDUCER_VERSION,
      chartHash: CHART_HASH,
      agent: { name, hash: definitionHash },
      model: model.name,
      limits: { maxSteps },
      ...(messages === undefined ? {} : { messages: checkMessages(messages) }),
      ...(metadata === undefined ? {} : { metadata: checkMetadata(metadata) }),
    };
    const owned = createRun<Context | undefined>({
      runId,
      start,
      input: task,
      log,
      clock,
      model,
      instructions,
      tools: toolMap,
      descriptions,
      context: runOptions.context,
      toolConcurrency,
      toolTimeoutMs,
      graceMs,
      signal,
      onRest(atRest) {
        if (!atRest) {
          rested.delete(owned);
          working.add(owned);
          // One that the agent had let go may have missed subscriptions.
          for (const subscription of subscriptions) subscription.attach(owned);
          return;
        }
        working.delete(owned);
        rested.add(owned);
        forgetOldest();
      },
      isClosed: () => closed,
    });
    for (const subscription of subscriptions) subscription.attach(owned);
    working.add(owned);
    owned.begin();
    return owned.run;
  }

  /** Whoever has the run itself loses nothing; only `open` does not find it any more. One with background work is kept until that ends. */
  function forgetOldest(): void {
    if (rested.size <= KEPT_AT_REST) return;
    for (const owned of rested) {
      if (owned.run.stats().tasks > 0) continue;
      rested.delete(owned);
      return;
    }
  }

  /** Every run of this agent that it holds. */
  function alive(): readonly OwnedRun[] {
    return [...working, ...rested];
  }

  async function close(): Promise<void> {
    closed = true;
    await Promise.all(alive().map((owned) => owned.close()));
  }

  return {
    name,
    run,
    async open(runId) {
      // A second run of an id settles as failed, so that the first is the real one; the latest that stored something, where one was deleted.
      const found = alive().filter((owned) => owned.run.id === runId && !owned.failed());
      const owned = found.findLast(({ run }) => run.durableSeq > 0) ?? found[0];
      if (owned === undefined) {
        throw new RubatoError(
          "unknown_run",
          `There is no run "${runId}" in this agent. It holds those that work and the latest ${KEPT_AT_REST} at rest.`,
        );
      }
      return owned.run;
    },
    async runs(filter = {}) {
      const all = await log.list(filter);
      return all.filter((summary) => summary.agent === name);
    },
    subscribe(pattern, listener) {
      checkPattern(pattern);
      checkOption("listener", typeof listener, typeof listener === "function", "a function");
      const lane: Lane = createLane();
      const undoes: Undoes = new WeakMap();
      const subscription: Subscription = {
        attach: (owned) => {
          if (undoes.has(owned)) return;
          // A run that the agent let go is not found when the subscription ends: its listener looks for itself.
          const heard: Listener<typeof pattern> = (event) =>
            subscriptions.has(subscription) ? listener(event) : undefined;
          undoes.set(owned, owned.subscribe(pattern, heard, lane));
        },
      };
      subscriptions.add(subscription);
      for (const owned of alive()) subscription.attach(owned);
      return () => {
        subscriptions.delete(subscription);
        for (const owned of alive()) undoes.get(owned)?.();
      };
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function isCount(value: number): boolean {
  return Number.isInteger(value) && value > 0;
}

function isRunId(value: string): boolean {
  return typeof value === "string" && /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/.test(value);
}

function checkMessages(messages: readonly Message[]): Message[] {
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

function checkMetadata(metadata: Readonly<Record<string, Json>>): Record<string, Json> {
  try {
    return Object.fromEntries(Object.entries(metadata).map(([key, value]) => [key, toJson(value)]));
  } catch (error) {
    throw new RubatoError("invalid_option", `Option "metadata" must be plain JSON: ${messageOf(error)}.`, {
      cause: error,
    });
  }
}
