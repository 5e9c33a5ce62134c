import { REDUCER_VERSION, SCHEMA_VERSION, type EventData } from "../machines/events.ts";
import type { CallResult } from "../machines/command.ts";
import type { Status } from "../machines/state.ts";
import { CHART_HASH } from "../machines/step.ts";
import {
  checkBudget,
  checkMessages,
  checkMetadata,
  checkPriced,
  FORK_KEYS,
  OPEN_KEYS,
  RESUME_KEYS,
  RUN_KEYS,
  settingsOf,
  type AgentOptions,
  type ForkRunOptions,
  type OpenOptions,
  type ResumeRunOptions,
  type RunArguments,
} from "./agent-options.ts";
import { toJson } from "./arguments.ts";
import { checkReplay, type ReplayCheck } from "./check-replay.ts";
import { checkCaller, checkKeys, checkOption, checkText } from "./checks.ts";
import { RubatoError } from "./errors.ts";
import { forkLog } from "./fork.ts";
import { HeldRuns } from "./held-runs.ts";
import { createRun } from "./live-run.ts";
import type { Found, OwnedRun, RunSetup } from "./owned-run.ts";
import { loggingObserver } from "./logger.ts";
import { isRunId, type EventLog, type RunSummary } from "./log/event-log.ts";
import { unknownRun } from "./log-pages.ts";
import type { AgentMetrics } from "./metrics/agent-metrics.ts";
import { Collector } from "./metrics/collector.ts";
import type { ChatModel, ToolDescription } from "./models/chat-model.ts";
import { runObserver, type AgentObserver } from "./observe.ts";
import { checkSubscribeOptions, type Overflow, type SubscribeOptions } from "./overflow.ts";
import { checkPattern, type EventPattern } from "./pattern.ts";
import { foldLog } from "./recovery.ts";
import { redactedModel, redactedResult, type Redact } from "./redact.ts";
import type { Run } from "./run.ts";
import { inspectOptions, shadowObserver } from "./shadow.ts";
import type { Listener } from "./subscriber.ts";
import { checkTools, definitionOf, describeTools } from "./toolbox.ts";

/** Runs conversations with one model, one set of tools and one log. */
export interface Agent<Context = unknown> {
  readonly name: string;
  /** Where its runs are kept. */
  readonly log: EventLog;
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
   * `done`, `cancelled`, `running`, `limit` (a budget that has to be raised), `newer_schema`. Throws for an unknown run.
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
  /**
   * Calls the listener with the events of all runs, those to come included; one call at a time, each run in its order. The bounds of its queue hold
   * for all runs together.
   */
  subscribe<Pattern extends EventPattern, Policy extends Overflow = "catch-up">(
    pattern: Pattern,
    listener: Listener<Pattern, Policy>,
    options?: SubscribeOptions<Policy>,
  ): () => void;
  /**
   * Has somebody see what happens in all runs, as far as this process owns them: every control event, and the first delta of each answer. It is called
   * synchronously, costs nothing per token, and what it throws changes nothing.
   */
  observe(observer: AgentObserver): () => void;
  /**
   * What the runs of this agent do in this process: rates, latencies, queues, errors, tokens, and what the process uses. Counting begins with the
   * option `metrics`, or the first time that somebody asks (a server does), and ends with the agent.
   */
  metrics(): AgentMetrics;
  /** Interrupts what runs (it can be resumed), waits for it, and ends background work. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Whether a run goes on in this process. */
export type ResumeAnswer =
  | { readonly accepted: true; readonly run: Run; readonly seq: number }
  | { readonly accepted: false; readonly reason: string; readonly message?: string };

/** What a run begins with that does not begin anew. */
interface Existing {
  readonly signal?: AbortSignal | undefined;
  readonly found?: Found;
  readonly model?: ChatModel | undefined;
}

/** Makes an agent. Throws {@link RubatoError} `invalid_option` or `invalid_tool`, with what was received and what to do. */
export function createAgent<Context = unknown>(options: AgentOptions<Context>): Agent<Context> {
  return new OneAgent(settingsOf(options));
}

type Owned<Context> = OwnedRun<Context | undefined>;
type Settings<Context> = ReturnType<typeof settingsOf<Context>>;
type Shared<Context> = RunSetup<Context | undefined>["agent"] & { readonly descriptions: readonly ToolDescription[] };

/**
 * A class, so that an agent is one object and not two dozen closures: a process may have many. What it can do is read through getters that bind it:
 * `const { run } = agent` works.
 */
class OneAgent<Context> implements Agent<Context> {
  readonly name: string;
  readonly log: EventLog;
  // Not the settings: what is kept of them stands in what all runs share.
  readonly #limits: Settings<Context>["limits"];
  readonly #newRunId: () => string;
  readonly #model: ChatModel;
  readonly #models: readonly ChatModel[];
  readonly #shared: Shared<Context>;
  readonly #runs = new HeldRuns<Owned<Context>>();
  #closed = false;
  #collector: Collector | undefined;

  constructor(settings: Settings<Context>) {
    const { name, instructions, models, tools, log, logger, inspect, redact } = settings;
    this.name = name;
    this.log = log;
    this.#limits = settings.limits;
    this.#newRunId = settings.newRunId;
    this.#model = models[0];
    this.#models = heard(models, redact);
    const toolMap = checkTools(tools);
    const descriptions = describeTools(tools);
    this.#shared = {
      log,
      prices: settings.prices,
      approvals: settings.approvals,
      retry: settings.retry,
      timeouts: settings.timeouts,
      clock: settings.clock,
      redact,
      propagate: settings.propagate,
      instructions,
      tools: toolMap,
      descriptions,
      definition: definitionOf(name, instructions, descriptions),
      toolConcurrency: settings.toolConcurrency,
      toolTimeoutMs: settings.toolTimeoutMs,
      graceMs: settings.graceMs,
      logTimeoutMs: settings.logTimeoutMs,
      answerTimeoutMs: settings.answerTimeoutMs,
      isClosed: () => this.#closed,
      // A function, not a getter: a getter in an object literal gives each such object a hidden class of its own (see `LazySignal`), and those kept
      // every agent with all its runs alive through every minor collection.
      probe: () => this.#collector?.probe,
    };
    if (settings.metrics) this.#collect();
    if (logger !== undefined) this.#runs.observe(runObserver(loggingObserver(logger, name, redact)));
    if (inspect !== undefined) this.#runs.observe(runObserver(shadowObserver(inspectOptions(inspect))));
  }

  get run(): Agent<Context>["run"] {
    return (task, ...options) => this.#run(task, ...options);
  }

  get open(): Agent<Context>["open"] {
    return (runId, options = {}) => this.#open(runId, options);
  }

  get resume(): Agent<Context>["resume"] {
    return (runId, instruction, options) => this.#resume(runId, instruction, options);
  }

  get fork(): Agent<Context>["fork"] {
    return (runId, options) => this.#fork(runId, options);
  }

  get runs(): Agent<Context>["runs"] {
    return (filter) => this.#list(filter);
  }

  get checkReplay(): Agent<Context>["checkReplay"] {
    return (runId) => checkReplay(this.log, runId, { ...this.#shared, model: this.#model });
  }

  get subscribe(): Agent<Context>["subscribe"] {
    return (pattern, listener, options = {}) => {
      checkPattern(pattern);
      checkOption("listener", typeof listener, typeof listener === "function", "a function");
      checkSubscribeOptions(options);
      return this.#runs.subscribe(pattern, listener, options);
    };
  }

  get observe(): Agent<Context>["observe"] {
    return (observer) => {
      checkOption("observer", typeof observer, typeof observer?.event === "function", "{ event(event, run) }");
      return this.#runs.observe(runObserver(observer));
    };
  }

  get metrics(): Agent<Context>["metrics"] {
    return () => this.#collect().read();
  }

  get close(): Agent<Context>["close"] {
    return () => this.#close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close();
  }

  #collect(): Collector {
    if (this.#collector !== undefined) return this.#collector;
    const runs = this.#runs;
    const collector = new Collector({ agent: this.name, clock: this.#shared.clock, held: () => runs.alive() });
    this.#collector = collector;
    runs.observe(collector);
    if (this.#closed) collector.close();
    return collector;
  }

  #run(task: string, ...[runOptions = {}]: RunArguments<Context> | []): Run {
    if (this.#closed) throw agentClosed();
    checkText("run", task);
    checkKeys("run", runOptions, RUN_KEYS);
    const { runId = this.#newRunId(), signal, messages, metadata } = runOptions;
    checkOption("runId", runId, isRunId(runId), "1 to 128 characters of A-Z a-z 0-9 . _ -, not beginning with a dot");
    const start: EventData<"run_start"> = {
      schema: SCHEMA_VERSION,
      reducer: REDUCER_VERSION,
      chartHash: CHART_HASH,
      agent: this.#shared.definition,
      model: this.#model.name,
      limits: this.#limits,
      ...(messages === undefined ? {} : { messages: checkMessages(messages) }),
      ...(metadata === undefined ? {} : { metadata: checkMetadata(metadata) }),
      ...checkCaller(runOptions),
    };
    const owned = this.#create(runId, runOptions.context, { signal });
    this.#runs.add(owned, false);
    owned.begin(start, task.toWellFormed());
    return owned.run;
  }

  #create(runId: string, context: Context | undefined, { signal, found, model: own }: Existing = {}): Owned<Context> {
    const models = own === undefined ? this.#models : heard([own], this.#shared.redact);
    return createRun({ agent: this.#shared, runId, context, models, signal, held: this.#runs }, found);
  }

  async #find(runId: string, supplied: OpenOptions<Context>): Promise<Owned<Context>> {
    if (this.#closed) throw agentClosed();
    const known = this.#runs.find(runId);
    if (known !== undefined) {
      known.supply(supplied);
      return known;
    }
    const { seq, owned: lives } = isRunId(runId) ? await this.log.head(runId) : { seq: 0, owned: false };
    if (seq === 0) throw unknownRun(runId);
    const state = await foldLog(this.log, runId);
    if (this.#closed) throw agentClosed();
    // Somebody else may have asked for the same run meanwhile: one object per run.
    const other = this.#runs.find(runId);
    if (other !== undefined) {
      other.supply(supplied);
      return other;
    }
    const owned = this.#create(runId, undefined, { found: { state, owned: lives } });
    owned.supply(supplied);
    this.#runs.add(owned, true);
    return owned;
  }

  async #resume(
    runId: string,
    instruction: string | undefined,
    options: ResumeRunOptions<Context> = {},
  ): Promise<ResumeAnswer> {
    checkKeys("resume", options, RESUME_KEYS);
    const { takeover = false, allowChanged = false, partial = "keep", budget } = options;
    if (budget !== undefined) checkBudget("budget", budget, ["maxSteps"]);
    const caller = checkCaller(options);
    checkOption("instruction", instruction, instruction === undefined || typeof instruction === "string", "a text");
    let owned: Owned<Context>;
    try {
      owned = await this.#find(runId, options);
    } catch (error) {
      if (!(error instanceof RubatoError) || error.code !== "newer_schema") throw error;
      return { accepted: false, reason: error.code, message: error.message };
    }
    const { run } = owned;
    const text = instruction === undefined || instruction.trim() === "" ? undefined : instruction;
    if (!owned.owns()) {
      const how = { partial, budget, caller };
      const receipt = await owned.takeOver({ why: "resume", takeover, allowChanged }, text, how);
      return receipt.accepted ? { ...receipt, run } : receipt;
    }
    const receipt = await run.resume(text, {
      partial,
      ...(budget === undefined ? {} : { budget }),
      ...caller,
    });
    // It was taken from this process while it rested: whoever would take it over takes it back.
    if (!receipt.accepted && receipt.reason === "not_owner" && takeover)
      return this.#resume(runId, instruction, options);
    return receipt.accepted ? { ...receipt, run } : receipt;
  }

  async #fork(fromRunId: string, forkOptions: ForkRunOptions<Context>): Promise<Run> {
    checkKeys("fork", forkOptions, FORK_KEYS);
    const { prices, redact } = this.#shared;
    const { at, instruction, model: other, results = {}, runId = this.#newRunId(), context } = forkOptions;
    if (this.#closed) throw agentClosed();
    const caller = checkCaller(forkOptions);
    if (instruction !== undefined) checkText("fork", instruction);
    checkOption("model", typeof other, other === undefined || typeof other.stream === "function", "a ChatModel");
    if (other !== undefined && this.#limits.cost !== undefined) checkPriced(prices, other.name);
    // What this process has accepted and not stored yet is no part of the past.
    await this.#runs.find(fromRunId)?.run.history("run_start", 1);
    const told = Object.entries(results).map(([callId, result]): [string, CallResult] => [
      callId,
      redactedResult(
        "error" in result ? { error: { code: "tool", message: result.error } } : { output: toJson(result.output) },
        redact,
      ),
    ]);
    const { epoch } = await forkLog(this.log, fromRunId, runId, { at, results: Object.fromEntries(told) });
    const state = await foldLog(this.log, runId);
    if (this.#closed) {
      await this.log.delete(runId);
      throw agentClosed();
    }
    const owned = this.#create(runId, context, { found: { state, owned: false }, model: other });
    this.#runs.add(owned, true);
    await owned.beginFork(epoch, instruction, caller);
    return owned.run;
  }

  async #open(runId: string, options: OpenOptions<Context>): Promise<Run> {
    checkKeys("open", options, OPEN_KEYS);
    const owned = await this.#find(runId, options);
    return owned.run;
  }

  async #list(filter: Parameters<Agent["runs"]>[0] = {}): Promise<readonly RunSummary[]> {
    const all = await this.log.list(filter);
    return all.filter((summary) => summary.agent === this.name);
  }

  async #close(): Promise<void> {
    this.#closed = true;
    await this.#runs.close();
    this.#collector?.close();
  }
}

/** The models as their answers are recorded. */
function heard(models: readonly ChatModel[], redact: Redact | undefined): readonly ChatModel[] {
  return redact === undefined ? models : models.map((model) => redactedModel(model, redact));
}

function agentClosed(): RubatoError {
  return new RubatoError("closed", "The agent was closed. Create a new one.");
}
