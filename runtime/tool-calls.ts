import type { Draft, EventData, EventOf, Json } from "../machines/events.ts";
import type { ToolCallState } from "../machines/state.ts";
import type { PreparedCall, Tool, ToolContext, ToolReceipt } from "../tools/tool.ts";
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
  const { head, clock, tools } = options;
  // Lists, not maps: mostly of one, and there are two for every run.
  let prepared: Prepared<Context>[] = [];
  let executing: Executing[] = [];
  let watch: { readonly at: number; readonly cancel: () => void } | undefined;

  function announce(message: EventOf<"message">): void {
    prepared = [];
    whenAll(head.state.core.calls.map(check), (drafts) => {
      // Where the run was stopped meanwhile the calls are settled already, and every one of these is refused.
      head.record(drafts, message.seq);
    });
  }

  /** At once where every check answered at once. */
  function whenAll(checks: readonly (Draft | Promise<Draft>)[], use: (checked: readonly Draft[]) => void): void {
    if (checks.every(isChecked)) use(checks);
    else options.tasks.adopt("validation", Promise.all(checks.map((draft) => Promise.resolve(draft))).then(use));
  }

  function salvage(cause: number): void {
    prepared = [];
    const stopped = head.state.interruptRequested;
    const { calls } = head.state.core;
    const open = calls.filter(
      (call) => call.phase === "complete" || call.phase === "ready" || call.phase === "orphaned",
    );
    // Where the run was stopped nothing of this runs again: it is settled at once, before the stop is, and needs no check.
    whenAll(stopped ? [] : open.map(check), (drafts) => {
      const recorded: Draft[] = [];
      const unknown: string[] = [];
      for (const [index, call] of open.entries()) {
        const draft = drafts[index];
        if (call.phase === "orphaned") recorded.push(...orphan(call, stopped, unknown));
        if (call.phase === "orphaned" || draft === undefined) continue;
        // The skipping that belongs to a stop came first: these are refused then.
        if (call.phase === "complete") recorded.push(draft);
        else if (draft.type === "tool_result") recorded.push({ ...draft, data: { ...draft.data, from: "ready" } });
      }
      head.record(recorded, cause);
      dispatch(cause);
      if (unknown.length > 0 && !stopped) {
        const reason = `Nobody knows how ${unknown.join(", ")} ended: the process that ran it is gone.`;
        options.noteInterrupt();
        head.record([{ type: "interrupt", data: { by: "recovery", reason, mode: "step" } }], cause);
      }
    });
  }

  /** What becomes of a call that was left behind; nothing where a person is to be asked. */
  function orphan({ callId, name, attempt }: ToolCallState, stopped: boolean, unknown: string[]): Draft[] {
    const found = preparedCall(callId);
    const policy = tools.get(name)?.onCrash ?? "ask";
    if (policy === "rerun" && found !== undefined && !stopped) {
      return [{ type: "tool_start", data: { callId, attempt: attempt + 1, name, idempotencyKey: keyOf(callId) } }];
    }
    if (policy === "ask") {
      unknown.push(`call ${callId} of "${name}"`);
      return [];
    }
    return [{ type: "tool_result", data: { callId, attempt, outcome: "unknown", from: "orphaned" } }];
  }

  function keyOf(callId: string): string {
    return `${head.runId}:${callId}`;
  }

  function preparedCall(callId: string): Prepared<Context> | undefined {
    for (const call of prepared) if (call.callId === callId) return call;
    return undefined;
  }

  /** The event that a call becomes: announced, or settled because it cannot run. */
  function check(call: ToolCallState): Draft | Promise<Draft> {
    if (call.error !== undefined) return refusal(call, call.error.message);
    const tool = tools.get(call.name);
    if (tool === undefined) {
      const names = [...tools.keys()].join(", ");
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
      if (isPromiseLike(answer)) return acceptLater(call, tool, logged.args, answer);
      return accept(call, tool, logged.args, answer);
    } catch (error) {
      return broken(call, error);
    }
  }

  function accept(call: ToolCallState, tool: Tool<Context>, args: Json, answer: PreparedCall<Context>): Draft {
    if (!answer.ok) return refusal(call, answer.message);
    const { callId, providerCallId, name } = call;
    prepared.push({ callId, tool, ready: answer });
    return { type: "tool_call", data: { callId, providerCallId, name, args, approval: "none" } };
  }

  async function acceptLater(
    call: ToolCallState,
    tool: Tool<Context>,
    args: Json,
    answer: PromiseLike<PreparedCall<Context>>,
  ): Promise<Draft> {
    try {
      return accept(call, tool, args, await answer);
    } catch (error) {
      return broken(call, error);
    }
  }

  function broken(call: ToolCallState, error: unknown): Draft {
    return refusal(call, `The tool's schema failed: ${messageOf(error)}`);
  }

  function dispatch(cause: number): void {
    const drafts: Draft[] = [];
    let running = 0;
    let alone = false;
    for (const call of head.state.core.calls) {
      if (call.phase !== "running") continue;
      running++;
      if (preparedCall(call.callId)?.tool.exclusive === true) alone = true;
    }
    for (const call of head.state.core.calls) {
      if (call.phase !== "ready") continue;
      const tool = preparedCall(call.callId)?.tool;
      if (tool === undefined || alone || running >= (tool.exclusive ? 1 : options.concurrency)) break;
      drafts.push({
        type: "tool_start",
        data: {
          callId: call.callId,
          attempt: call.attempt + 1,
          name: call.name,
          idempotencyKey: keyOf(call.callId),
        },
      });
      running++;
      alone = tool.exclusive;
    }
    if (drafts.length > 0) head.record(drafts, cause);
  }

  function execute(start: EventOf<"tool_start">): void {
    const { callId } = start.data;
    const found = preparedCall(callId);
    if (found === undefined) return;
    const timeoutMs = found.tool.timeoutMs ?? options.timeoutMs;
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
    if (head.state.value === "interrupted.draining") {
      // Stopped after the licence was recorded and before it was durable: the tool need not begin at all.
      settle(entry, { outcome: "aborted", error: { code: "not_begun", message: "It was stopped before it began." } });
      return;
    }
    executing.push(entry);
    let answer: unknown;
    let waits: boolean;
    try {
      answer = enterCall(head.runId, () => found.ready.start(contextOf(entry)));
      waits = isPromiseLike(answer);
    } catch (error) {
      leaveCall();
      settle(entry, thrown(entry.stop, error, timeoutMs));
      return;
    }
    if (!waits) {
      leaveCall();
      settle(entry, returned(found.tool, answer));
      return;
    }
    entry.deadline = clock.monotonic() + timeoutMs;
    // Not for a call that was stopped while it began: its grace runs already.
    if (entry.stop === undefined) watchDeadlines(entry.deadline);
    options.tasks.enter();
    entry.work = Promise.resolve(answer).then(
      (value: unknown) => {
        leaveCall();
        options.tasks.leave();
        settle(entry, returned(found.tool, value));
      },
      (error: unknown) => {
        leaveCall();
        options.tasks.leave();
        settle(entry, thrown(entry.stop, error, timeoutMs));
      },
    );
  }

  /** Sees to it that the watch rings at this moment or before. It is not moved when a call ends early: setting timers costs, ringing once does not. */
  function watchDeadlines(deadline: number): void {
    if (watch !== undefined && watch.at <= deadline) return;
    watch?.cancel();
    watch = { at: deadline, cancel: clock.timer(Math.max(0, deadline - clock.monotonic()), onWatch) };
  }

  function onWatch(): void {
    watch = undefined;
    const now = clock.monotonic();
    let next = Number.POSITIVE_INFINITY;
    for (const entry of executing) {
      if (entry.stop !== undefined) continue;
      if (entry.deadline <= now) stop(entry, "timeout", options.graceMs);
      else next = Math.min(next, entry.deadline);
    }
    if (next < Number.POSITIVE_INFINITY) watchDeadlines(next);
  }

  function contextOf(entry: Executing): ToolContext<Context> {
    const { callId, attempt, idempotencyKey } = entry.start.data;
    const { runId } = head;
    const context = new CallContext(runId, callId, attempt, idempotencyKey, options.context, {
      progress(value) {
        if (entry.settled) return;
        const plain = toJson(value);
        const { redact } = options;
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

  function settle(entry: Executing, ending: Ending): void {
    const { callId, attempt } = entry.start.data;
    const late = entry.settled;
    entry.settled = true;
    entry.cancelGrace?.();
    // A new list: whoever goes through the old one goes through all of it.
    executing = executing.length === 1 && executing[0] === entry ? [] : executing.filter((other) => other !== entry);
    const data: EventData<"tool_result"> = resultOf(callId, attempt, ending);
    if (late) data.late = true;
    head.record([{ type: "tool_result", data }], entry.start.seq);
  }

  /** The first reason to stop decides the outcome, the earliest end of the grace when the call is given up. */
  function stop(entry: Executing, why: StopReason, graceMs: number): void {
    const first = entry.stop === undefined;
    entry.stop ??= why;
    const giveUpAt = clock.monotonic() + graceMs;
    if (first || giveUpAt < entry.giveUpAt) {
      entry.giveUpAt = giveUpAt;
      entry.cancelGrace?.();
      entry.cancelGrace = clock.timer(graceMs, () => {
        settle(entry, {
          outcome: "unknown",
          error: { code: "abandoned", message: `It did not stop within ${graceMs} ms after it was told to.` },
        });
      });
    }
    if (first && entry.abortable !== undefined) LazySignal.abort(entry.abortable);
  }

  return {
    announce,
    salvage,
    dispatch,
    execute,
    abort(graceMs) {
      for (const entry of executing) stop(entry, "interrupt", graceMs);
    },
    rest() {
      watch?.cancel();
      watch = undefined;
    },
  };
}
