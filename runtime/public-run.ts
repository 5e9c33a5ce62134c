import type { Command } from "../machines/command.ts";
import type { Event } from "../machines/events.ts";
import { isAtRest, type AgentState } from "../machines/state.ts";
import { toJson } from "./arguments.ts";
import { checkPattern, type Bus } from "./bus.ts";
import { insideCall } from "./call-scope.ts";
import { checkGrace, checkOption, checkText, checkWords, isInputId } from "./checks.ts";
import { milliseconds, type Clock } from "./clock.ts";
import type { RubatoError } from "./errors.ts";
import type { FollowHead } from "./follow-head.ts";
import { FIRST_INPUT, newInputId } from "./input-id.ts";
import type { EventLog } from "./log/event-log.ts";
import { notRunning, outcomeOf, type Outcome } from "./outcome.ts";
import type { Owner } from "./owner.ts";
import type { OwnersAnswer, Verb } from "./post.ts";
import { checkReadOptions, readEvents, readHistory, type ReadableHead } from "./reader.ts";
import type { InterruptOptions, InterruptReceipt, Receipt, Run } from "./run.ts";
import type { Tasks } from "./tasks.ts";

/** A head of this process's own or a follower's. */
export type SeenHead = ReadableHead & { readonly state: AgentState; rest<T>(read: () => T): Promise<T> };

/** What a command was answered by: this process, or the one that owns the run. */
export type Answered = { readonly here: Receipt } | { readonly there: Exclude<OwnersAnswer, "unowned"> };

export interface PublicRunParts {
  readonly runId: string;
  readonly log: EventLog;
  readonly clock: Clock;
  readonly bus: Bus;
  readonly tasks: Tasks;
  /** To be woken when the log fails: interrupts that wait to become effective. */
  readonly stopping: Set<() => void>;
  /** The head that counts now. */
  readonly head: () => SeenHead;
  readonly owner: () => Owner | undefined;
  readonly follower: () => FollowHead | undefined;
  readonly command: (asked: Command, verb: () => Verb, graceMs?: number) => Promise<Answered>;
  readonly isClosed: () => boolean;
  /** Somebody began to listen. */
  readonly onListening: () => void;
  readonly onBackground: () => void;
}

/** Whichever head counts at the moment: a reader stays when the run changes its owner. */
class CurrentHead implements ReadableHead {
  private readonly current: () => SeenHead;
  private readonly follower: () => FollowHead | undefined;
  readonly runId: string;

  constructor({ head, follower, runId }: PublicRunParts) {
    this.current = head;
    this.follower = follower;
    this.runId = runId;
  }

  get durableSeq(): number {
    return this.current().durableSeq;
  }

  get publishedSeq(): number {
    return this.current().publishedSeq;
  }

  get atRest(): boolean {
    return this.current().atRest;
  }

  get failure(): RubatoError | undefined {
    return this.current().failure;
  }

  volatileAfter(cursor: number): readonly Event[] {
    return this.current().volatileAfter(cursor);
  }

  onProgress(callback: () => void): () => void {
    return this.current().onProgress(callback);
  }

  async refresh(): Promise<void> {
    await this.follower()?.refresh();
  }
}

/** The public face of a run, whoever owns it. */
export function publicRun(parts: PublicRunParts): Run {
  const { runId, log, clock, bus, tasks, head, owner, follower, command } = parts;
  const current = new CurrentHead(parts);

  /** What another process answered counts as it is: it was made by the same functions there. */
  async function order(asked: Command, verb: () => Verb, graceMs?: number): Promise<Receipt> {
    const answered = await command(asked, verb, graceMs);
    return "here" in answered ? answered.here : answered.there;
  }

  /** Waits on the inside for what an interrupt ends in. */
  async function interrupt(reason = "", options: InterruptOptions = {}): Promise<InterruptReceipt> {
    const { mode = "step", graceMs, by = "user" } = options;
    checkOption("mode", mode, mode === "step" || mode === "now", '"step" or "now"');
    checkGrace(graceMs);
    checkWords({ reason, by });
    const inside = insideCall(runId) || bus.delivering;
    const asked = clock.monotonic();
    const stops: { readonly event: Event; readonly latencyMs: number }[] = [];
    let next = (): void => {};
    const wake = (): void => {
      next();
    };
    const note = (event: Event): void => {
      stops.push({ event, latencyMs: milliseconds(clock.monotonic() - asked) });
      wake();
    };
    const undo = [bus.subscribe("interrupted", note), bus.subscribe("cancelled", note)];
    parts.stopping.add(wake);
    try {
      const answered = await command(
        { type: "interrupt", by, reason, mode },
        () => ({ verb: "interrupt", reason, mode, by, ...(graceMs === undefined ? {} : { graceMs }) }),
        graceMs,
      );
      if ("there" in answered) return effectThere(answered.there);
      const receipt = answered.here;
      if (!receipt.accepted) return receipt;
      // Also where somebody had asked before: the shorter grace counts.
      if (mode === "now" && graceMs !== undefined) owner()?.hurry(graceMs);
      // An accepted interrupt ends in one of the two events, or the log fails and the run rests without them.
      const { seq } = receipt;
      // What was recorded before this command was asked for by somebody else, also where this one waited for its turn.
      const mine = (): (typeof stops)[number] | undefined => stops.find(({ event }) => event.seq > seq);
      while (mine() === undefined && !inside && head().failure === undefined) {
        await new Promise<void>((resolve) => {
          next = resolve;
        });
      }
      const stop = mine();
      if (stop?.event.type !== "interrupted") return { accepted: true, seq, effective: false };
      const { where, step, keptChars } = stop.event.data;
      return { accepted: true, seq, effective: true, where, step, keptChars, latencyMs: stop.latencyMs };
    } finally {
      parts.stopping.delete(wake);
      for (const off of undo) off();
    }
  }

  async function settled(): Promise<Outcome> {
    const following = follower();
    if (following !== undefined) await following.refresh().catch(() => {});
    for (;;) {
      const waited = head();
      const outcome = await waited.rest(() => {
        // Another head counts by now: this process took the run over, or let it go.
        if (head() !== waited) return undefined;
        const { state, failure, durableSeq } = waited;
        const left = owner() === undefined && failure === undefined && !isAtRest(state);
        return left ? notRunning(state) : outcomeOf(state, failure, durableSeq);
      });
      if (outcome !== undefined) return outcome;
    }
  }

  return {
    id: runId,
    get state() {
      return head().state;
    },
    get durableSeq() {
      return head().durableSeq;
    },
    events: (options) => readEvents(current, log, checkReadOptions(options)),
    [Symbol.asyncIterator]: () => readEvents(current, log),
    history(pattern = "*", limit = 50) {
      checkPattern(pattern);
      checkOption("limit", limit, Number.isInteger(limit) && limit > 0, "a whole number from 1");
      return current.refresh().then(() => readHistory(current, log, pattern, limit));
    },
    subscribe(pattern, listener) {
      checkPattern(pattern);
      checkOption("listener", typeof listener, typeof listener === "function", "a function");
      const undo = bus.subscribe(pattern, listener);
      parts.onListening();
      return () => {
        undo();
        follower()?.attend();
      };
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
      const more = budget === undefined ? {} : { budget: { ...budget } };
      return order(
        { type: "resume", by, partial, ...(text === undefined ? {} : { input: { id: newInputId(), text } }), ...more },
        () => ({ verb: "resume", partial, by, ...(text === undefined ? {} : { instruction: text }), ...more }),
      );
    },
    async send(text, options = {}) {
      const { when = "step", id = newInputId() } = options;
      checkText("send", text);
      checkOption("id", id, isInputId(id) && id !== FIRST_INPUT, `1 to 128 characters other than "${FIRST_INPUT}"`);
      checkOption("when", when, ["now", "step", "done"].includes(when), '"now", "step" or "done"');
      const receipt = await order({ type: "send", id, text, when }, () => ({ verb: "send", text, when, id }));
      return receipt.accepted ? { ...receipt, id } : receipt;
    },
    async cancel(reason = "", options = {}) {
      const { graceMs, by = "user" } = options;
      checkGrace(graceMs);
      checkWords({ reason, by });
      const inside = insideCall(runId) || bus.delivering;
      const answered = await command(
        { type: "cancel", by, reason },
        () => ({ verb: "cancel", reason, by, ...(graceMs === undefined ? {} : { graceMs }) }),
        graceMs,
      );
      if ("there" in answered) return answered.there;
      const receipt = answered.here;
      if (!receipt.accepted || inside) return receipt;
      return head().rest(() => receipt);
    },
    async approve(callId, { args, by = "user" } = {}) {
      const more = args === undefined ? {} : { args: toJson(args) };
      return order({ type: "approve", by, callId, ...more }, () => ({ verb: "approve", callId, by, ...more }));
    },
    async reject(callId, reason = "", { by = "user" } = {}) {
      return order({ type: "reject", by, callId, reason }, () => ({ verb: "reject", callId, reason, by }));
    },
    async settleCall(callId, result) {
      checkWords({ callId });
      if ("error" in result) {
        const { error } = result;
        checkWords({ error });
        return order({ type: "settle", callId, result: { error: { code: "tool", message: error } } }, () => ({
          verb: "settle",
          callId,
          error,
        }));
      }
      const output = toJson(result.output);
      return order({ type: "settle", callId, result: { output } }, () => ({ verb: "settle", callId, output }));
    },
    settled,
    background(name, task) {
      if (parts.isClosed()) return false;
      const started = tasks.start(name, task);
      if (started) parts.onBackground();
      return started;
    },
    stats: () => ({ ...bus.stats(), tasks: tasks.size }),
  };
}

function effectThere(answer: Extract<Answered, { there: unknown }>["there"]): InterruptReceipt {
  if (!answer.accepted) return { accepted: false, reason: answer.reason };
  const { seq, effective, where, step, keptChars, latencyMs } = answer;
  return {
    accepted: true,
    seq,
    effective: effective === true,
    ...(typeof where === "string" ? { where } : {}),
    ...(typeof step === "number" ? { step } : {}),
    ...(typeof keptChars === "number" ? { keptChars } : {}),
    ...(typeof latencyMs === "number" ? { latencyMs } : {}),
  };
}
