import type { Draft, EventData, EventOf, Json } from "../machines/events.ts";
import type { ToolCallState } from "../machines/state.ts";
import type { PreparedCall, Tool, ToolContext, ToolReceipt } from "../tools/tool.ts";
import { added } from "./added.ts";
import { parseArgs, toJson } from "./arguments.ts";
import { CallContext } from "./call-context.ts";
import { refusal, resultOf, returned, thrown, type Ending, type StopReason } from "./call-ending.ts";
import { enterCall, leaveCall } from "./call-scope.ts";
import type { Clock } from "./clock.ts";
import { messageOf } from "./errors.ts";
import type { Head } from "./head.ts";
import { LazySignal } from "./lazy-signal.ts";
import { isPromiseLike } from "./promise-like.ts";
import { redactJson, type Redact } from "./redact.ts";
import type { Tasks } from "./tasks.ts";

/**
 * The tool calls of one run.
 *
 * T1 (P14) A call runs only when its message was complete, its arguments parsed and its schema content.
 * T2 (P11) The `tool_start` event, once durable, is the only licence to execute; it is recorded once.
 * T3 (R7, P15) A call has one outcome: what comes after it is recorded as late and changes nothing.
 * T4 (P16) A tool that ignores its signal is abandoned after the grace time, as `unknown`.
 * T5 One timer watches the deadlines of all calls; it ends when the run rests. A call's grace timer ends with the call.
 */
export interface ToolCalls {
  /** The message is complete: announce its calls, or settle at once those that cannot run. */
  announce(message: EventOf<"message">): void;
  /** A new owner takes over calls that an earlier one announced or left behind: each is made ready again, settled or reported. */
  salvage(cause: number): void;
  /** Starts what may start now: in call order, at most `concurrency` at a time, an exclusive one alone. */
  dispatch(cause: number): void;
  execute(start: EventOf<"tool_start">): void;
  /** Tells every executing call to stop; after `graceMs` it is given up. */
  abort(graceMs: number): void;
  /** The run is at rest: no call executes, no deadline has to be watched. */
  rest(): void;
}

export interface ToolCallsOptions<Context> {
  readonly head: Head;
  readonly clock: Clock;
  readonly tools: ReadonlyMap<string, Tool<Context>>;
  readonly context: Context;
  readonly concurrency: number;
  readonly timeoutMs: number;
  readonly graceMs: number;
  readonly redact: Redact | undefined;
  readonly interrupt: (reason: string) => Promise<ToolReceipt>;
  /** Called before this records an interrupt of its own: its latency counts from here. */
  readonly noteInterrupt: () => void;
  /** Counts the calls that run, abandoned ones included, so that closing can wait for them. */
  readonly tasks: Pick<Tasks, "adopt" | "enter" | "leave">;
}

type Ready<Context> = Extract<PreparedCall<Context>, { ok: true }>;

interface Prepared<Context> {
  readonly callId: string;
  readonly tool: Tool<Context>;
  readonly ready: Ready<Context>;
}

interface Executing {
  readonly start: EventOf<"tool_start">;
  settled: boolean;
  stop: StopReason | undefined;
  /** What the tool was given, once it was. */
  abortable: LazySignal | undefined;
  /** On the monotonic clock, ms. */
  deadline: number;
  giveUpAt: number;
  cancelGrace: (() => void) | undefined;
  /** Settles the call when the tool's promise does. Never rejects. */
  work: Promise<void> | undefined;
}

function isChecked(draft: Draft | Promise<Draft>): draft is Draft {
  return !(draft instanceof Promise);
}

export function createToolCalls<Context>(options: ToolCallsOptions<Context>): ToolCalls {
  return new RunsCalls(options);
}

/** A class, so that a run makes one object and not two dozen closures: of many runs at once each has its own, and all are looked at in turn. */
class RunsCalls<Context> implements ToolCalls {
  private readonly options: ToolCallsOptions<Context>;
  private readonly head: Head;
  private readonly clock: Clock;
  private readonly tools: ReadonlyMap<string, Tool<Context>>;
  // Lists, not maps: mostly of one, and there are two for every run.
  private prepared: Prepared<Context>[] = [];
  private executing: Executing[] = [];
  private watch: { readonly at: number; readonly cancel: () => void } | undefined;

  constructor(options: ToolCallsOptions<Context>) {
    this.options = options;
    this.head = options.head;
    this.clock = options.clock;
    this.tools = options.tools;
  }

  announce(message: EventOf<"message">): void {
    this.prepared = [];
    this.whenAll(
      this.head.state.core.calls.map((call) => this.check(call)),
      (drafts) => {
        // Where the run was stopped meanwhile the calls are settled already, and every one of these is refused.
        this.head.record(drafts, message.seq);
      },
    );
  }

  /** At once where every check answered at once. */
  private whenAll(checks: readonly (Draft | Promise<Draft>)[], use: (checked: readonly Draft[]) => void): void {
    if (checks.every(isChecked)) use(checks);
    else this.options.tasks.adopt("validation", Promise.all(checks.map((draft) => Promise.resolve(draft))).then(use));
  }

  salvage(cause: number): void {
    this.prepared = [];
    const stopped = this.head.state.interruptRequested;
    const { calls } = this.head.state.core;
    const open = calls.filter(
      (call) => call.phase === "complete" || call.phase === "ready" || call.phase === "orphaned",
    );
    // Where the run was stopped nothing of this runs again: it is settled at once, before the stop is, and needs no check.
    this.whenAll(stopped ? [] : open.map((call) => this.check(call)), (drafts) => {
      const recorded: Draft[] = [];
      const unknown: string[] = [];
      for (const [index, call] of open.entries()) {
        const draft = drafts[index];
        if (call.phase === "orphaned") recorded.push(...this.orphan(call, stopped, unknown));
        if (call.phase === "orphaned" || draft === undefined) continue;
        // The skipping that belongs to a stop came first: these are refused then.
        if (call.phase === "complete") recorded.push(draft);
        else if (draft.type === "tool_result") recorded.push({ ...draft, data: { ...draft.data, from: "ready" } });
      }
      this.head.record(recorded, cause);
      this.dispatch(cause);
      if (unknown.length > 0 && !stopped) {
        const reason = `Nobody knows how ${unknown.join(", ")} ended: the process that ran it is gone.`;
        this.options.noteInterrupt();
        this.head.record([{ type: "interrupt", data: { by: "recovery", reason, mode: "step" } }], cause);
      }
    });
  }

  /** What becomes of a call that was left behind; nothing where a person is to be asked. */
  private orphan({ callId, name, attempt }: ToolCallState, stopped: boolean, unknown: string[]): Draft[] {
    const found = this.preparedCall(callId);
    const policy = this.tools.get(name)?.onCrash ?? "ask";
    if (policy === "rerun" && found !== undefined && !stopped) {
      return [{ type: "tool_start", data: { callId, attempt: attempt + 1, name, idempotencyKey: this.keyOf(callId) } }];
    }
    if (policy === "ask") {
      unknown.push(`call ${callId} of "${name}"`);
      return [];
    }
    return [{ type: "tool_result", data: { callId, attempt, outcome: "unknown", from: "orphaned" } }];
  }

  private keyOf(callId: string): string {
    return `${this.head.runId}:${callId}`;
  }

  private preparedCall(callId: string): Prepared<Context> | undefined {
    for (const call of this.prepared) if (call.callId === callId) return call;
    return undefined;
  }

  /** The event that a call becomes: announced, or settled because it cannot run. */
  private check(call: ToolCallState): Draft | Promise<Draft> {
    if (call.error !== undefined) return refusal(call, call.error.message);
    const tool = this.tools.get(call.name);
    if (tool === undefined) {
      const names = [...this.tools.keys()].join(", ");
      return refusal(
        call,
        `There is no tool "${call.name}". ${names === "" ? "There are no tools." : `There are: ${names}.`}`,
      );
    }
    // What a person approved or an earlier process validated counts, not what the model wrote.
    const text = call.args === undefined ? call.rawArgs : JSON.stringify(call.args);
    const logged = parseArgs(text);
    if (!logged.ok) return refusal(call, logged.message);
    try {
      // A copy: the tool may keep and change what it is given, the log's arguments stay as they were.
      const answer = tool.prepare(toJson(logged.args));
      if (isPromiseLike(answer)) return this.acceptLater(call, tool, logged.args, answer);
      return this.accept(call, tool, logged.args, answer);
    } catch (error) {
      return this.broken(call, error);
    }
  }

  private accept(call: ToolCallState, tool: Tool<Context>, args: Json, answer: PreparedCall<Context>): Draft {
    if (!answer.ok) return refusal(call, answer.message);
    const { callId, providerCallId, name } = call;
    this.prepared = added(this.prepared, { callId, tool, ready: answer });
    return { type: "tool_call", data: { callId, providerCallId, name, args, approval: "none" } };
  }

  private async acceptLater(
    call: ToolCallState,
    tool: Tool<Context>,
    args: Json,
    answer: PromiseLike<PreparedCall<Context>>,
  ): Promise<Draft> {
    try {
      return this.accept(call, tool, args, await answer);
    } catch (error) {
      return this.broken(call, error);
    }
  }

  private broken(call: ToolCallState, error: unknown): Draft {
    return refusal(call, `The tool's schema failed: ${messageOf(error)}`);
  }

  dispatch(cause: number): void {
    let drafts: Draft[] = [];
    let running = 0;
    let alone = false;
    for (const call of this.head.state.core.calls) {
      if (call.phase !== "running") continue;
      running++;
      if (this.preparedCall(call.callId)?.tool.exclusive === true) alone = true;
    }
    for (const call of this.head.state.core.calls) {
      if (call.phase !== "ready") continue;
      const tool = this.preparedCall(call.callId)?.tool;
      if (tool === undefined || alone || running >= (tool.exclusive ? 1 : this.options.concurrency)) break;
      drafts = added<Draft>(drafts, {
        type: "tool_start",
        data: {
          callId: call.callId,
          attempt: call.attempt + 1,
          name: call.name,
          idempotencyKey: this.keyOf(call.callId),
        },
      });
      running++;
      alone = tool.exclusive;
    }
    if (drafts.length > 0) this.head.record(drafts, cause);
  }

  execute(start: EventOf<"tool_start">): void {
    const { callId } = start.data;
    const found = this.preparedCall(callId);
    if (found === undefined) return;
    const timeoutMs = found.tool.timeoutMs ?? this.options.timeoutMs;
    const entry: Executing = {
      start,
      settled: false,
      stop: undefined,
      abortable: undefined,
      deadline: Number.POSITIVE_INFINITY,
      giveUpAt: Number.POSITIVE_INFINITY,
      cancelGrace: undefined,
      work: undefined,
    };
    if (this.head.state.value === "interrupted.draining") {
      // Stopped after the licence was recorded and before it was durable: the tool need not begin at all.
      this.settle(entry, {
        outcome: "aborted",
        error: { code: "not_begun", message: "It was stopped before it began." },
      });
      return;
    }
    this.executing = added(this.executing, entry);
    let answer: unknown;
    let waits: boolean;
    try {
      answer = enterCall(this.head.runId, () => found.ready.start(this.contextOf(entry)));
      waits = isPromiseLike(answer);
    } catch (error) {
      leaveCall();
      this.settle(entry, thrown(entry.stop, error, timeoutMs));
      return;
    }
    if (!waits) {
      leaveCall();
      this.settle(entry, returned(found.tool, answer));
      return;
    }
    entry.deadline = this.clock.monotonic() + timeoutMs;
    // Not for a call that was stopped while it began: its grace runs already.
    if (entry.stop === undefined) this.watchDeadlines(entry.deadline);
    this.options.tasks.enter();
    // Settled one promise later: what leaving the last call switches off is off only then, and what comes next makes its promises without it.
    entry.work = Promise.resolve(answer)
      .then(
        (value: unknown): Ending => {
          leaveCall();
          return returned(found.tool, value);
        },
        (error: unknown): Ending => {
          leaveCall();
          return thrown(entry.stop, error, timeoutMs);
        },
      )
      .then((ending) => {
        this.options.tasks.leave();
        this.settle(entry, ending);
      });
  }

  /** Sees to it that the watch rings at this moment or before. It is not moved when a call ends early: setting timers costs, ringing once does not. */
  private watchDeadlines(deadline: number): void {
    if (this.watch !== undefined && this.watch.at <= deadline) return;
    this.watch?.cancel();
    this.watch = {
      at: deadline,
      cancel: this.clock.timer(Math.max(0, deadline - this.clock.monotonic()), () => {
        this.onWatch();
      }),
    };
  }

  private onWatch(): void {
    this.watch = undefined;
    const now = this.clock.monotonic();
    let next = Number.POSITIVE_INFINITY;
    for (const entry of this.executing) {
      if (entry.stop !== undefined) continue;
      if (entry.deadline <= now) this.stop(entry, "timeout", this.options.graceMs);
      else next = Math.min(next, entry.deadline);
    }
    if (next < Number.POSITIVE_INFINITY) this.watchDeadlines(next);
  }

  private contextOf(entry: Executing): ToolContext<Context> {
    const { head, options } = this;
    const { runId } = head;
    const { callId, attempt, idempotencyKey } = entry.start.data;
    const context = new CallContext(runId, callId, attempt, idempotencyKey, options.context, {
      progress(value) {
        if (entry.settled) return;
        const plain = toJson(value);
        const { clock, redact } = options;
        const data = { callId, attempt, value: redact === undefined ? plain : redactJson(plain, redact) };
        head.delta({ seq: head.nextSeq, timestamp: clock.now(), runId, type: "tool_progress", data });
      },
      emit(name, data = null) {
        if (entry.settled) return;
        head.record([{ type: "custom", data: { name, data: toJson(data), callId } }], entry.start.seq);
      },
      interrupt: (reason = "") =>
        entry.settled ? Promise.resolve({ accepted: false, reason: "settled" }) : options.interrupt(reason),
    });
    entry.abortable = context;
    return context;
  }

  private settle(entry: Executing, ending: Ending): void {
    const { callId, attempt } = entry.start.data;
    const late = entry.settled;
    entry.settled = true;
    entry.cancelGrace?.();
    // A new list: whoever goes through the old one goes through all of it.
    this.executing =
      this.executing.length === 1 && this.executing[0] === entry
        ? []
        : this.executing.filter((other) => other !== entry);
    const data: EventData<"tool_result"> = resultOf(callId, attempt, ending);
    if (late) data.late = true;
    this.head.record([{ type: "tool_result", data }], entry.start.seq);
  }

  /** The first reason to stop decides the outcome, the earliest end of the grace when the call is given up. */
  private stop(entry: Executing, why: StopReason, graceMs: number): void {
    const first = entry.stop === undefined;
    entry.stop ??= why;
    const giveUpAt = this.clock.monotonic() + graceMs;
    if (first || giveUpAt < entry.giveUpAt) {
      entry.giveUpAt = giveUpAt;
      entry.cancelGrace?.();
      entry.cancelGrace = this.clock.timer(graceMs, () => {
        this.settle(entry, {
          outcome: "unknown",
          error: { code: "abandoned", message: `It did not stop within ${graceMs} ms after it was told to.` },
        });
      });
    }
    if (first && entry.abortable !== undefined) LazySignal.abort(entry.abortable);
  }

  abort(graceMs: number): void {
    for (const entry of this.executing) this.stop(entry, "interrupt", graceMs);
  }

  rest(): void {
    this.watch?.cancel();
    this.watch = undefined;
  }
}
