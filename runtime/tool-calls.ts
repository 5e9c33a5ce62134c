import { hashArgs } from "../machines/command.ts";
import type { Draft, EventOf } from "../machines/events.ts";
import { callsAllowed, OVER_LIMIT } from "../machines/limits.ts";
import type { ToolCallState } from "../machines/state.ts";
import { callerOf } from "../machines/caller.ts";
import { headersOut } from "../machines/trace-context.ts";
import type { Tool, ToolContext, ToolReceipt } from "../tools/tool.ts";
import { added } from "./added.ts";
import { ApprovalWatch } from "./approval-watch.ts";
import type { Approvals } from "./approvals.ts";
import { toJson } from "./arguments.ts";
import { CallCheck, type Checked, type Prepared } from "./call-check.ts";
import { CallContext } from "./call-context.ts";
import { resultOf, returned, thrown, type Ending, type StopReason } from "./call-ending.ts";
import { enterCall, leaveCall } from "./call-scope.ts";
import { checkOption, checkWords } from "./checks.ts";
import type { Clock } from "./clock.ts";
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
 * T5 A call that a person has to allow starts only with the arguments that were approved, once.
 * T6 One timer watches the deadlines of all calls; it ends when the run rests. A call's grace timer ends with the call.
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
  /** The run is at rest: no call executes, no deadline has to be watched, but those of calls that wait for a person. */
  rest(): void;
  /** This process has the run no more. */
  leave(): void;
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
  readonly approvals: Approvals<Context>;
  readonly propagate: boolean | undefined;
  readonly owner: CallsOwner;
  /** Counts the calls that run, abandoned ones included, so that closing can wait for them. */
  readonly tasks: Pick<Tasks, "adopt" | "enter" | "leave">;
}

/** Who has the run whose calls these are. */
export interface CallsOwner {
  interruptByTool(reason: string): Promise<ToolReceipt>;
  /** To be called before an interrupt is recorded: its latency counts from here. */
  noteInterrupt(): void;
}

interface Executing {
  readonly start: EventOf<"tool_start">;
  settled: boolean;
  /** Its scope was left: once, also where it is given up in the moment in which it ends. */
  left: boolean;
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

function isChecked<Context>(checked: Checked<Context> | Promise<Checked<Context>>): checked is Checked<Context> {
  return !(checked instanceof Promise);
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
  private readonly calls: CallCheck<Context>;
  private readonly approvals: ApprovalWatch;
  /** What the keys of all calls begin with. */
  private readonly keys: string;
  // Lists, not maps: mostly of one, and there are two for every run.
  private prepared: Prepared<Context>[] = [];
  private executing: Executing[] = [];
  private watch: { readonly at: number; readonly cancel: () => void } | undefined;

  constructor(options: ToolCallsOptions<Context>) {
    this.options = options;
    this.head = options.head;
    this.clock = options.clock;
    this.tools = options.tools;
    this.calls = new CallCheck(options);
    this.approvals = new ApprovalWatch(options.head, options.clock);
    this.keys = `${options.head.runId}:`;
  }

  announce(message: EventOf<"message">): void {
    this.prepared = [];
    this.whenAll(
      this.head.state.core.calls.map((call) => this.calls.check(call)),
      (checked) => {
        // Where the run was stopped meanwhile the calls are settled already, and every one of these is refused.
        this.head.record(this.withRequests(this.withinLimits(checked)), message.seq);
        if (checked.some(waits)) this.approvals.look();
      },
    );
  }

  /** What the calls become. Those that the limits of the run do not allow are skipped, from the first one over. */
  private withinLimits(checked: readonly Checked<Context>[]): Draft[] {
    const allowed = callsAllowed(this.head.state);
    let count = 0;
    return checked.map(({ draft, prepared }) => {
      if (prepared === undefined || draft.type !== "tool_call") return draft;
      if (++count > allowed) return overLimit(prepared.callId);
      this.prepared = added(this.prepared, prepared);
      return draft;
    });
  }

  /** Asks for what has to be asked for, behind all announcements. */
  private withRequests(drafts: Draft[]): Draft[] {
    // Most steps ask for nothing.
    if (this.head.state.core.context.pending === 0 && !drafts.some(asks)) return drafts;
    const expiresAt = this.clock.now() + this.options.approvals.timeoutMs;
    const requests: Draft[] = [];
    // A log may end between an announcement and its request: then the request is missing (P8).
    for (const { callId, approval } of this.head.state.pendingApprovals) {
      if (approval === undefined || approval.expiresAt !== undefined) continue;
      requests.push({ type: "approval_request", data: { callId, argsHash: approval.argsHash, expiresAt } });
    }
    for (const draft of drafts) {
      if (draft.type !== "tool_call" || draft.data.approval !== "required") continue;
      const { callId, argsHash = "" } = draft.data;
      requests.push({ type: "approval_request", data: { callId, argsHash, expiresAt } });
    }
    return requests.length === 0 ? drafts : [...drafts, ...requests];
  }

  /** At once where every check answered at once. */
  private whenAll(
    checks: readonly (Checked<Context> | Promise<Checked<Context>>)[],
    use: (checked: readonly Checked<Context>[]) => void,
  ): void {
    if (checks.every(isChecked)) use(checks);
    else this.options.tasks.adopt("validation", Promise.all(checks.map((check) => Promise.resolve(check))).then(use));
  }

  salvage(cause: number): void {
    this.prepared = [];
    const stopped = this.head.state.interruptRequested;
    const open = this.head.state.core.calls.filter(isOpen);
    // Where the run was stopped nothing of this runs again: it is settled at once, before the stop is, and needs no check.
    this.whenAll(stopped ? [] : open.map((call) => this.calls.check(call)), (checked) => {
      const recorded: Draft[] = [];
      const unknown: string[] = [];
      const unannounced: Checked<Context>[] = [];
      for (const [index, call] of open.entries()) {
        // It may have been settled while the checks ran: what is said of it then would be refused, and all that comes behind it.
        if (this.phaseOf(call.callId) !== call.phase) continue;
        const answer = checked[index];
        if (call.phase === "complete") {
          if (answer !== undefined) unannounced.push(answer);
          continue;
        }
        if (answer?.prepared !== undefined) this.prepared = added(this.prepared, answer.prepared);
        if (call.phase === "orphaned") recorded.push(...this.orphan(call, stopped, unknown));
        if (call.phase !== "ready" || answer?.draft.type !== "tool_result") continue;
        recorded.push({ ...answer.draft, data: { ...answer.draft.data, from: "ready" } });
      }
      // The skipping that belongs to a stop came first: these are refused then. The limits count for them as they did in the process that died.
      recorded.push(...this.withinLimits(unannounced));
      this.head.record(this.withRequests(recorded), cause);
      this.dispatch(cause);
      this.approvals.look();
      if (unknown.length > 0 && !stopped) {
        const reason = `Nobody knows how ${unknown.join(", ")} ended: the process that ran it is gone.`;
        this.options.owner.noteInterrupt();
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

  private phaseOf(callId: string): string | undefined {
    return this.head.state.core.calls.find((call) => call.callId === callId)?.phase;
  }

  private keyOf(callId: string): string {
    return this.keys + callId;
  }

  private preparedCall(callId: string): Prepared<Context> | undefined {
    for (const call of this.prepared) if (call.callId === callId) return call;
    return undefined;
  }

  /** A call whose arguments a person edited is prepared anew; one whose arguments are not those that were approved never runs (T5). */
  private bindApprovals(cause: number): boolean {
    for (const call of this.head.state.core.calls) {
      if (call.phase !== "ready" || call.approval === undefined) continue;
      if (hashArgs(call.args ?? null) !== call.approval.argsHash) {
        this.head.record([notApproved(call)], cause);
        return false;
      }
      const before = this.preparedCall(call.callId);
      if (before === undefined || before.args === call.args) continue;
      this.prepared = this.prepared.filter((other) => other !== before);
      this.whenAll([this.calls.check(call)], ([checked]) => {
        if (checked?.prepared !== undefined) this.prepared = added(this.prepared, checked.prepared);
        else if (checked?.draft.type === "tool_result")
          this.head.record([{ ...checked.draft, data: { ...checked.draft.data, from: "ready" } }], cause);
        this.dispatch(cause);
      });
      return false;
    }
    return true;
  }

  dispatch(cause: number): void {
    if (!this.bindApprovals(cause)) return;
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
      left: false,
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
    entry.work = Promise.resolve(answer).then(
      (value: unknown) => {
        this.ended(entry, returned(found.tool, value));
      },
      (error: unknown) => {
        this.ended(entry, thrown(entry.stop, error, timeoutMs));
      },
    );
  }

  private ended(entry: Executing, ending: Ending): void {
    leave(entry);
    this.options.tasks.leave();
    this.settle(entry, ending);
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
    const { core } = head.state;
    const answer = core.calls.find((call) => call.callId === callId)?.approval?.answer;
    const caller = callerOf(core);
    const traced = options.propagate ?? caller !== undefined;
    const agent = core.start?.agent.name ?? "";
    const trace = traced ? headersOut({ agent, runId }, entry.start.seq, caller) : undefined;
    const context = new CallContext(runId, callId, attempt, idempotencyKey, options.context, answer, trace, {
      progress(value) {
        if (entry.settled) return;
        const plain = toJson(value);
        const { clock, redact } = options;
        const data = { callId, attempt, value: redact === undefined ? plain : redactJson(plain, redact) };
        head.delta({ seq: head.nextSeq, timestamp: clock.now(), runId, type: "tool_progress", data });
      },
      emit(name, data = null) {
        checkOption("name", name, typeof name === "string" && name !== "", "a text that is not empty");
        if (entry.settled) return;
        head.record([{ type: "custom", data: { name, data: toJson(data), callId } }], entry.start.seq);
      },
      async interrupt(reason = "") {
        checkWords({ reason });
        return entry.settled ? { accepted: false, reason: "settled" } : options.owner.interruptByTool(reason);
      },
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
    const data = resultOf(callId, attempt, ending);
    this.head.record([{ type: "tool_result", data: late ? { ...data, late } : data }], entry.start.seq);
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
        // It holds nothing up any more. Waited for until it ends, one that never does would keep the scope on for the whole process.
        leave(entry);
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
    if (this.head.state.status !== "waiting") this.approvals.stop();
  }

  leave(): void {
    this.approvals.stop();
  }
}

function leave(entry: Executing): void {
  if (entry.left) return;
  entry.left = true;
  leaveCall();
}

function isOpen({ phase }: ToolCallState): boolean {
  return phase === "complete" || phase === "awaiting_approval" || phase === "ready" || phase === "orphaned";
}

function waits<Context>({ draft }: Checked<Context>): boolean {
  return asks(draft);
}

function asks(draft: Draft): boolean {
  return draft.type === "tool_call" && draft.data.approval === "required";
}

function overLimit(callId: string): Draft {
  const error = { code: OVER_LIMIT, message: "a limit of the run was reached" };
  return { type: "tool_result", data: { callId, attempt: 0, outcome: "skipped", from: "complete", error } };
}

function notApproved({ callId, attempt }: ToolCallState): Draft {
  const error = { code: "not_approved", message: "Its arguments are not those that were approved. It did not run." };
  return { type: "tool_result", data: { callId, attempt, outcome: "error", from: "ready", error } };
}
