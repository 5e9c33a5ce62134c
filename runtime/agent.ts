import { randomUUID } from "node:crypto";
import { z } from "zod";
import { REDUCER_VERSION, SCHEMA_VERSION, type EventData, type Json, type PartialPolicy } from "../machines/events.ts";
import type { CallResult } from "../machines/command.ts";
import { messageListProblem, messageSchema, type Message } from "../machines/messages.ts";
import type { Status } from "../machines/state.ts";
import { CHART_HASH } from "../machines/step.ts";
import type { Tool } from "../tools/tool.ts";
import { toJson } from "./arguments.ts";
import { checkPattern, createLane, type EventPattern, type Lane, type Listener } from "./bus.ts";
import { checkReplay, type ReplayCheck } from "./check-replay.ts";
import { checkKeys, checkOption, checkText, isDelay } from "./checks.ts";
import { systemClock, type Clock } from "./clock.ts";
import { messageOf, RubatoError } from "./errors.ts";
import { forkLog } from "./fork.ts";
import { createRun, type Found, type OwnedRun } from "./live-run.ts";
import { isRunId, type EventLog, type RunSummary } from "./log/event-log.ts";
import { memoryLog } from "./log/memory.ts";
import type { ChatModel } from "./models/chat-model.ts";
import { foldLog } from "./recovery.ts";
import { redactedModel, redactedResult, type Redact } from "./redact.ts";
import type { Run } from "./run.ts";
import { createTasks } from "./tasks.ts";
import { checkTools, definitionOf, describeTools } from "./toolbox.ts";

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
  /** How long the log may take to store an event before the run stops without it, ms. Default 30,000. */
  readonly logTimeoutMs?: number;
  /** How long a command waits for the process that owns the run, ms. Default 5,000. */
  readonly answerTimeoutMs?: number;
  /** Takes out of every text what must not be recorded. What it takes out is gone for the model and for tools as well. Default: nothing. */
  readonly redact?: Redact;
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

export interface OpenOptions<Context = unknown> {
  /** Reaches tools as `ctx.context`, should this process come to own the run. Never logged, so it is supplied again. */
  readonly context?: Context;
}

export interface ResumeRunOptions<Context = unknown> extends OpenOptions<Context> {
  /** Also from a process that lives: it can append nothing any more. Default false. */
  readonly takeover?: boolean;
  /** Also with other instructions or tools than the run was begun with. Default false. */
  readonly allowChanged?: boolean;
  /** What becomes of the text of an answer that was cut by an interrupt. Default `keep`. */
  readonly partial?: PartialPolicy;
}

export interface ForkRunOptions<Context = unknown> extends OpenOptions<Context> {
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

/** Whether a run goes on in this process. */
export type ResumeAnswer =
  | { readonly accepted: true; readonly run: Run; readonly seq: number }
  | { readonly accepted: false; readonly reason: string; readonly message?: string };

/** Runs conversations with one model, one set of tools and one log. */
export interface Agent<Context = unknown> {
  readonly name: string;
  /** Starts a run at once. Throws {@link RubatoError} for a wrong option or an empty task. A runId that exists settles as `failed`. */
  run(task: string, ...options: RunArguments<Context>): Run;
  /**
   * A run of this agent's log, whichever process began it. Nothing starts by itself: a run that stands in the middle of its work and that nobody
   * owns is at rest (`not_running`). Its first command goes to the process that owns it; where there is none, this one takes it over. Rejects with
   * {@link RubatoError} `unknown_run`, `newer_schema` or `log` (damaged).
   */
  open(runId: string, options?: OpenOptions<Context>): Promise<Run>;
  /**
   * Goes on with a run, from its log and this agent alone: one that was interrupted, failed or at a limit, or one whose process died. What was
   * under way then is settled as its tools say (`onCrash`), and a request that was out is made again. Of any number of callers one is accepted.
   *
   * Not accepted: `owned` (a living process has it), `changed` (the agent is not the one that the run was begun with; `message` says what differs),
   * `done`, `cancelled`, `running`, `newer_schema`. Throws for an unknown run.
   */
  resume(runId: string, instruction?: string, options?: ResumeRunOptions<Context>): Promise<ResumeAnswer>;
  /**
   * A new run that is a copy of another one's events up to `at`, which may lie within an answer: the past stays as it was, and what comes next is
   * up to you. It rests there, or goes on with an instruction. Throws {@link RubatoError} `unknown_run`, `newer_schema`, `invalid_option`.
   */
  fork(runId: string, options: ForkRunOptions<Context>): Promise<Run>;
  /** This agent's runs in the log, oldest first. */
  runs(filter?: { readonly status?: Status }): Promise<readonly RunSummary[]>;
  /**
   * Runs this agent as it is now against what a run recorded, and answers the first event that it would record otherwise. Asks no model, runs no
   * tool, records nothing. Rejects with `unknown_run` or `newer_schema`.
   */
  checkReplay(runId: string): Promise<ReplayCheck>;
  /** Calls the listener with the events of all runs, those to come included; one call at a time, each run in its order. */
  subscribe<Pattern extends EventPattern>(pattern: Pattern, listener: Listener<Pattern>): () => void;
  /** Interrupts what runs (it can be resumed), waits for it, and ends background work. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Runs at rest that an agent holds, so that `open` finds them without their log. */
const KEPT_AT_REST = 100;

/** What a subscription needs of a run, whatever its context. */
type Heard = Pick<OwnedRun, "subscribe">;

interface Subscription {
  readonly attach: (owned: Heard) => void;
}

/** Undoes are kept per run and weakly: a subscriber to all runs must not keep them alive. */
type Undoes = WeakMap<Heard, () => void>;

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
  "logTimeoutMs",
  "answerTimeoutMs",
  "redact",
  "clock",
  "newRunId",
] as const;
const RESUME_KEYS = ["context", "takeover", "allowChanged", "partial"] as const;
const FORK_KEYS = ["at", "instruction", "model", "results", "runId", "context"] as const;
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
    logTimeoutMs = 30_000,
    answerTimeoutMs = 5_000,
    redact,
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
  checkOption("logTimeoutMs", logTimeoutMs, isDelay(logTimeoutMs, 1), "milliseconds from 1 to 2147483647");
  checkOption("answerTimeoutMs", answerTimeoutMs, isDelay(answerTimeoutMs, 1), "milliseconds from 1 to 2147483647");
  checkOption("redact", typeof redact, redact === undefined || typeof redact === "function", "a function of a text");
  const heard = (spoken: ChatModel): ChatModel => (redact === undefined ? spoken : redactedModel(spoken, redact));
  const toolMap = checkTools(tools);
  const descriptions = describeTools(tools);
  const definition = definitionOf(name, instructions, descriptions);

  // A run that works is held, also where nobody else holds it; of those at rest the latest are. No weak references: a young one keeps all that
  // it names alive through every minor collection, which made a finished run dear.
  type Owned = OwnedRun<Context | undefined>;
  const working = new Set<Owned>();
  const rested = new Set<Owned>();
  const subscriptions = new Set<Subscription>();
  let closed = false;
  const leaving = createTasks({ max: Number.POSITIVE_INFINITY, onFailure() {} });

  function run(task: string, ...[runOptions = {}]: RunArguments<Context> | []): Run {
    if (closed) throw agentClosed();
    checkText("run", task);
    checkKeys("run", runOptions, RUN_KEYS);
    const { runId = newRunId(), signal, messages, metadata } = runOptions;
    checkOption("runId", runId, isRunId(runId), "1 to 128 characters of A-Z a-z 0-9 . _ -, not beginning with a dot");
    const start: EventData<"run_start"> = {
      schema: SCHEMA_VERSION,
      reducer: REDUCER_VERSION,
      chartHash: CHART_HASH,
      agent: definition,
      model: model.name,
      limits: { maxSteps },
      ...(messages === undefined ? {} : { messages: checkMessages(messages) }),
      ...(metadata === undefined ? {} : { metadata: checkMetadata(metadata) }),
    };
    const owned = create(runId, runOptions.context, { signal });
    working.add(owned);
    owned.begin(start, task);
    return owned.run;
  }

  interface Existing {
    readonly signal?: AbortSignal | undefined;
    readonly found?: Found;
    readonly model?: ChatModel | undefined;
  }

  function create(runId: string, context: Context | undefined, { signal, found, model: own }: Existing = {}): Owned {
    const owned: Owned = createRun<Context | undefined>(
      {
        runId,
        log,
        clock,
        model: heard(own ?? model),
        redact,
        instructions,
        tools: toolMap,
        descriptions,
        definition,
        context,
        toolConcurrency,
        toolTimeoutMs,
        graceMs,
        logTimeoutMs,
        answerTimeoutMs,
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
      },
      found,
    );
    for (const subscription of subscriptions) subscription.attach(owned);
    return owned;
  }

  /** The run of this id that this agent holds; of several the one that is real. */
  function held(runId: string): Owned | undefined {
    // A second run of an id settles as failed, so that the first is the real one; the latest that stored something, where one was deleted.
    const all = alive().filter((owned) => owned.run.id === runId && !owned.failed());
    return all.findLast(({ run }) => run.durableSeq > 0) ?? all[0];
  }

  async function find(runId: string, { context }: OpenOptions<Context>): Promise<Owned> {
    if (closed) throw agentClosed();
    const known = held(runId);
    if (known !== undefined) {
      if (context !== undefined) known.supply(context);
      return known;
    }
    const { seq, owned: lives } = isRunId(runId) ? await log.head(runId) : { seq: 0, owned: false };
    if (seq === 0)
      throw new RubatoError(
        "unknown_run",
        `There is no run "${runId}" in this log. See which there are: agent.runs().`,
      );
    const state = await foldLog(log, runId);
    if (closed) throw agentClosed();
    // Somebody else may have asked for the same run meanwhile: one object per run.
    const other = held(runId);
    if (other !== undefined) {
      if (context !== undefined) other.supply(context);
      return other;
    }
    const owned = create(runId, context, { found: { state, owned: lives } });
    rested.add(owned);
    forgetOldest();
    return owned;
  }

  async function resume(
    runId: string,
    instruction: string | undefined,
    options: ResumeRunOptions<Context> = {},
  ): Promise<ResumeAnswer> {
    const { takeover = false, allowChanged = false, partial = "keep" } = options;
    checkOption("instruction", instruction, instruction === undefined || typeof instruction === "string", "a text");
    let owned: Owned;
    try {
      owned = await find(runId, options);
    } catch (error) {
      if (!(error instanceof RubatoError) || error.code !== "newer_schema") throw error;
      return { accepted: false, reason: error.code, message: error.message };
    }
    const { run } = owned;
    const text = instruction === undefined || instruction.trim() === "" ? undefined : instruction;
    if (!owned.owns()) {
      const receipt = await owned.takeOver({ why: "resume", takeover, allowChanged }, text, partial);
      return receipt.accepted ? { ...receipt, run } : receipt;
    }
    const receipt = await run.resume(text, { partial });
    // It was taken from this process while it rested: whoever would take it over takes it back.
    if (!receipt.accepted && receipt.reason === "not_owner" && takeover) return resume(runId, instruction, options);
    return receipt.accepted ? { ...receipt, run } : receipt;
  }

  /** Whoever has the run itself loses nothing; only `open` does not find it any more. One with background work is kept until that ends. */
  function forgetOldest(): void {
    if (rested.size <= KEPT_AT_REST) return;
    for (const owned of rested) {
      if (owned.busy()) continue;
      rested.delete(owned);
      leaving.adopt("letting go of a run", owned.letGo());
      return;
    }
  }

  /** Every run of this agent that it holds. */
  function alive(): readonly Owned[] {
    return [...working, ...rested];
  }

  async function close(): Promise<void> {
    closed = true;
    await Promise.all(alive().map((owned) => owned.close()));
    await leaving.idle();
  }

  async function fork(
    fromRunId: string,
    { at, instruction, model: other, results = {}, runId = newRunId(), context }: ForkRunOptions<Context>,
  ): Promise<Run> {
    if (closed) throw agentClosed();
    if (instruction !== undefined) checkText("fork", instruction);
    checkOption("model", typeof other, other === undefined || typeof other.stream === "function", "a ChatModel");
    // What this process has accepted and not stored yet is no part of the past.
    await held(fromRunId)?.run.history("run_start", 1);
    const told = Object.entries(results).map(([callId, result]): [string, CallResult] => [
      callId,
      redactedResult(
        "error" in result ? { error: { code: "tool", message: result.error } } : { output: toJson(result.output) },
        redact,
      ),
    ]);
    const { epoch } = await forkLog(log, fromRunId, runId, { at, results: Object.fromEntries(told) });
    const state = await foldLog(log, runId);
    if (closed) {
      await log.delete(runId);
      throw agentClosed();
    }
    const owned = create(runId, context, { found: { state, owned: false }, model: other });
    rested.add(owned);
    await owned.beginFork(epoch, instruction);
    forgetOldest();
    return owned.run;
  }

  return {
    name,
    run,
    async open(runId, openOptions = {}) {
      checkKeys("open", openOptions, ["context"]);
      const owned = await find(runId, openOptions);
      return owned.run;
    },
    async resume(runId, instruction, resumeOptions = {}) {
      checkKeys("resume", resumeOptions, RESUME_KEYS);
      return resume(runId, instruction, resumeOptions);
    },
    async fork(runId, forkOptions) {
      checkKeys("fork", forkOptions, FORK_KEYS);
      return fork(runId, forkOptions);
    },
    async runs(filter = {}) {
      const all = await log.list(filter);
      return all.filter((summary) => summary.agent === name);
    },
    checkReplay: (runId) =>
      checkReplay(log, runId, { model, instructions, tools: toolMap, toolConcurrency, toolTimeoutMs, graceMs }),
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

function agentClosed(): RubatoError {
  return new RubatoError("closed", "The agent was closed. Create a new one.");
}

function isCount(value: number): boolean {
  return Number.isInteger(value) && value > 0;
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
