import { randomUUID } from "node:crypto";
import { respond, type Command } from "../machines/command.ts";
import type { Draft, Event, EventData } from "../machines/events.ts";
import type { Tool } from "../tools/tool.ts";
import { checkPattern, createBus, type Bus, type EventPattern, type Lane, type Listener } from "./bus.ts";
import { insideCall } from "./call-scope.ts";
import { checkGrace, checkOption, checkText, checkWords, isInputId } from "./checks.ts";
import { milliseconds, type Clock } from "./clock.ts";
import { createEffects } from "./effects.ts";
import { messageOf, RubatoError } from "./errors.ts";
import type { Head } from "./head.ts";
import { openHead } from "./log-head.ts";
import type { EventLog } from "./log/event-log.ts";
import type { ChatModel, ToolDescription } from "./models/chat-model.ts";
import { outcomeOf, type Outcome } from "./outcome.ts";
import { checkReadOptions, readEvents, readHistory, readPublished } from "./reader.ts";
import type { InterruptOptions, InterruptReceipt, Receipt, Run } from "./run.ts";
import { createTasks } from "./tasks.ts";
import { createToolCalls, type ToolCalls } from "./tool-calls.ts";

/** What an agent gives each of its runs. */
export interface RunSetup<Context> {
  readonly runId: string;
  readonly start: EventData<"run_start">;
  readonly input: string;
  readonly log: EventLog;
  readonly clock: Clock;
  readonly model: ChatModel;
  readonly instructions: string;
  readonly tools: ReadonlyMap<string, Tool<Context>>;
  readonly descriptions: readonly ToolDescription[];
  readonly context: Context;
  readonly toolConcurrency: number;
  readonly toolTimeoutMs: number;
  readonly graceMs: number;
  readonly signal: AbortSignal | undefined;
  readonly onRest: (atRest: boolean) => void;
  readonly isClosed: () => boolean;
}

/** A run together with what only its agent may touch. */
export interface OwnedRun {
  readonly run: Run;
  /** It never owned its log, or lost it. */
  readonly failed: () => boolean;
  /** Subscribes in a lane that is shared with other runs. */
  subscribe<Pattern extends EventPattern>(pattern: Pattern, listener: Listener<Pattern>, lane: Lane): () => void;
  /** Records the first events. */
  readonly begin: () => void;
  /** Interrupts now, waits for rest, ends background work. */
  readonly close: () => Promise<void>;
}

const MAX_BACKGROUND_TASKS = 1_000;
/** The id of a run's first input; no later one may have it. */
const FIRST_INPUT = "start";

export function createRun<Context>(setup: RunSetup<Context>): OwnedRun {
  const { runId, log, clock } = setup;
  /** Interrupts that wait to become effective. */
  const stopping = new Set<() => void>();
  let unwatch: (() => void) | undefined;
  let begun = false;

  const bus: Bus = createBus((cursor) => readPublished(head, log, cursor));
  const tasks = createTasks({
    max: MAX_BACKGROUND_TASKS,
    onFailure(name, error) {
      const message = `Background work "${name}" failed: ${messageOf(error)}`;
      const data: EventData<"error"> = {
        source: "background",
        code: "background",
        severity: "low",
        retryable: false,
        message,
      };
      head.record([{ type: "error", data }]);
    },
  });
  const head: Head = openHead({
    runId,
    log,
    clock,
    epoch: 1,
    publish: bus.publish,
    perform: (effect, event) => {
      effects.perform(effect, event);
    },
    onFailure: () => {
      effects.abandon();
      for (const wake of stopping) wake();
    },
    onRest(atRest) {
      if (atRest) {
        unwatchSignal();
        toolCalls.rest();
      } else if (begun) watchSignal();
      setup.onRest(atRest);
    },
  });
  const toolCalls: ToolCalls = createToolCalls<Context>({
    head,
    clock,
    tools: setup.tools,
    context: setup.context,
    concurrency: setup.toolConcurrency,
    timeoutMs: setup.toolTimeoutMs,
    graceMs: setup.graceMs,
    interrupt: async (reason) => command({ type: "interrupt", by: "tool", reason, mode: "step" }),
    tasks,
  });
  const effects = createEffects({
    head: () => head,
    toolCalls: () => toolCalls,
    clock,
    model: setup.model,
    instructions: setup.instructions,
    tools: setup.descriptions,
    graceMs: setup.graceMs,
    tasks,
  });

  function begin(): void {
    const drafts: Draft[] = [
      { type: "run_start", data: setup.start },
      { type: "user_input", data: { id: FIRST_INPUT, text: setup.input, when: "start" } },
    ];
    if (setup.signal?.aborted === true) {
      effects.noteInterrupt(undefined);
      drafts.push({ type: "interrupt", data: { by: "signal", reason: "the signal was aborted", mode: "now" } });
    }
    begun = true;
    watchSignal();
    head.record(drafts);
  }

  /** Only while the run works: a signal that outlives many runs must not collect their listeners. */
  function watchSignal(): void {
    const { signal } = setup;
    if (signal === undefined || unwatch !== undefined || signal.aborted) return;
    const onAbort = (): void => {
      tasks.adopt("interrupt", stopBy("signal", "the signal was aborted"));
    };
    signal.addEventListener("abort", onAbort, { once: true });
    unwatch = () => {
      signal.removeEventListener("abort", onAbort);
    };
  }

  function unwatchSignal(): void {
    unwatch?.();
    unwatch = undefined;
  }

  async function stopBy(by: string, reason: string): Promise<void> {
    await command({ type: "interrupt", by, reason, mode: "now" });
  }

  async function command(asked: Command, graceMs?: number): Promise<Receipt> {
    if (head.failure !== undefined) return { accepted: false, reason: head.failure.code };
    if (setup.isClosed() && (asked.type === "send" || asked.type === "resume"))
      return { accepted: false, reason: "closed" };
    const answer = respond(head.state, asked);
    if (!answer.accepted) return answer;
    if (answer.drafts.some((draft) => draft.type === "interrupt")) effects.noteInterrupt(graceMs);
    // Before the first event of a turn is recorded, so that an abort in any of its listeners counts.
    watchSignal();
    const seq = answer.drafts.length === 0 ? answer.seq : head.record(answer.drafts);
    if (head.atRest) unwatchSignal();
    if (seq === undefined) return { accepted: false, reason: "refused" };
    try {
      await head.durable(seq);
    } catch (error) {
      return { accepted: false, reason: error instanceof RubatoError ? error.code : "log" };
    }
    return { accepted: true, seq };
  }

  async function interrupt(reason = "", options: InterruptOptions = {}): Promise<InterruptReceipt> {
    const { mode = "step", graceMs, by = "user" } = options;
    checkOption("mode", mode, mode === "step" || mode === "now", '"step" or "now"');
    checkGrace(graceMs);
    checkWords({ reason, by });
    const inside = insideCall(runId) || bus.delivering;
    const asked = clock.monotonic();
    const from = head.state.seq;
    let stopped: Event | undefined;
    let latencyMs = 0;
    let wake = (): void => {};
    const end = new Promise<void>((resolve) => {
      wake = resolve;
    });
    const note = (event: Event): void => {
      // What was accepted before this command was asked for by somebody else.
      if (event.seq <= from) return;
      if (stopped === undefined) latencyMs = milliseconds(clock.monotonic() - asked);
      stopped ??= event;
      wake();
    };
    const undo = [bus.subscribe("interrupted", note), bus.subscribe("cancelled", note)];
    stopping.add(wake);
    try {
      const receipt = await command({ type: "interrupt", by, reason, mode }, graceMs);
      if (!receipt.accepted) return receipt;
      // Also where somebody had asked before: the shorter grace counts.
      if (mode === "now" && graceMs !== undefined && head.state.value === "interrupted.draining")
        toolCalls.abort(graceMs);
      // An accepted interrupt ends in one of the two events, or the log fails and the run rests without them.
      if (stopped === undefined && !inside && head.failure === undefined) await end;
      const { seq } = receipt;
      if (stopped?.type !== "interrupted") return { accepted: true, seq, effective: false };
      const { where, step, keptChars } = stopped.data;
      return { accepted: true, seq, effective: true, where, step, keptChars, latencyMs };
    } finally {
      stopping.delete(wake);
      for (const off of undo) off();
    }
  }

  async function settled(): Promise<Outcome> {
    return head.rest(() => outcomeOf(head.state, head.failure, head.durableSeq));
  }

  const run: Run = {
    id: runId,
    get state() {
      return head.state;
    },
    get durableSeq() {
      return head.durableSeq;
    },
    events: (options) => readEvents(head, log, checkReadOptions(options)),
    [Symbol.asyncIterator]: () => readEvents(head, log),
    history(pattern = "*", limit = 50) {
      checkPattern(pattern);
      checkOption("limit", limit, Number.isInteger(limit) && limit > 0, "a whole number from 1");
      return readHistory(head, log, pattern, limit);
    },
    subscribe(pattern, listener) {
      checkPattern(pattern);
      checkOption("listener", typeof listener, typeof listener === "function", "a function");
      return bus.subscribe(pattern, listener);
    },
    interrupt,
    async resume(instruction, options = {}) {
      const { partial = "keep", budget, by = "user" } = options;
      checkOption(
        "partial",
        partial,
        ["keep", "continue", "discard"].includes(partial),
        '"keep", "continue" or "discard"',
      );
      checkWords({ instruction: instruction ?? "", by });
      const text = instruction === undefined || instruction.trim() === "" ? undefined : instruction;
      return command({
        type: "resume",
        by,
        partial,
        ...(text === undefined ? {} : { input: { id: newInputId(), text } }),
        ...(budget === undefined ? {} : { budget }),
      });
    },
    async send(text, options = {}) {
      const { when = "step", id = newInputId() } = options;
      checkText("send", text);
      checkOption("id", id, isInputId(id) && id !== FIRST_INPUT, `1 to 128 characters other than "${FIRST_INPUT}"`);
      checkOption("when", when, ["now", "step", "done"].includes(when), '"now", "step" or "done"');
      const receipt = await command({ type: "send", id, text, when });
      return receipt.accepted ? { ...receipt, id } : receipt;
    },
    async cancel(reason = "", options = {}) {
      const { graceMs, by = "user" } = options;
      checkGrace(graceMs);
      checkWords({ reason, by });
      const inside = insideCall(runId) || bus.delivering;
      const receipt = await command({ type: "cancel", by, reason }, graceMs);
      if (!receipt.accepted || inside) return receipt;
      return head.rest(() => receipt);
    },
    async approve(callId, { args, by = "user" } = {}) {
      return command({ type: "approve", by, callId, ...(args === undefined ? {} : { args }) });
    },
    async reject(callId, reason = "", { by = "user" } = {}) {
      return command({ type: "reject", by, callId, reason });
    },
    settled,
    background(name, task) {
      if (setup.isClosed()) return false;
      const started = tasks.start(name, task);
      // The agent holds a run with background work, also one that it had let go.
      if (started && head.atRest) setup.onRest(true);
      return started;
    },
    stats: () => ({ ...bus.stats(), tasks: tasks.size }),
  };

  return {
    run,
    failed: () => head.failure !== undefined,
    begin,
    subscribe: (pattern, listener, lane) => bus.subscribe(pattern, listener, lane),
    async close() {
      if (!head.atRest) {
        await stopBy("shutdown", "the agent was closed");
        await settled();
      }
      tasks.close();
      await untilIdle();
    },
  };

  /** What ignores its signal is not waited for longer than a tool would be. */
  async function untilIdle(): Promise<void> {
    let cancelTimer = (): void => {};
    const grace = new Promise<void>((resolve) => {
      cancelTimer = clock.timer(setup.graceMs, resolve);
    });
    await Promise.race([tasks.idle(), grace]);
    cancelTimer();
  }
}

function newInputId(): string {
  return `in_${randomUUID()}`;
}
