import type { Command } from "../machines/command.ts";
import type { Event } from "../machines/events.ts";
import { isAtRest, type AgentState } from "../machines/state.ts";
import type { TraceHeaders } from "../machines/trace-context.ts";
import { checkBudget } from "./agent-options.ts";
import { toJson } from "./arguments.ts";
import { checkBatchOptions, readBatches } from "./batches.ts";
import { insideCall } from "./call-scope.ts";
import { checkCaller, checkGrace, checkKeys, checkOption, checkText, checkWords, isInputId } from "./checks.ts";
import { CurrentHead } from "./current-head.ts";
import { FIRST_INPUT, newInputId } from "./input-id.ts";
import { interruptRun } from "./interrupt-run.ts";
import { Lane } from "./lane.ts";
import { notRunning, outcomeOf, type Outcome } from "./outcome.ts";
import { checkSubscribeOptions } from "./overflow.ts";
import { checkPattern } from "./pattern.ts";
import type { Verb } from "./post.ts";
import { checkReadOptions, readEvents, readHistory } from "./reader.ts";
import type { ApproveOptions, Receipt, RejectOptions, ResumeOptions, Run, SendOptions, SendReceipt } from "./run.ts";
import type { RunParts } from "./run-parts.ts";

const CALLER_KEYS = ["traceparent", "tracestate"];

type CancelOptions = NonNullable<Parameters<Run["cancel"]>[1]>;
type CallResult = Parameters<Run["settleCall"]>[1];

/** The public face of a run, whoever owns it. */
export function publicRun(parts: RunParts): Run {
  return new PublicRun(parts);
}

/**
 * A class, so that all runs have one hidden class. What a run can do is read through getters that bind it: `const { send } = run` works, and a
 * run does not carry a closure for each of its verbs.
 */
class PublicRun implements Run {
  readonly id: string;
  readonly #parts: RunParts;
  readonly #current: CurrentHead;

  constructor(parts: RunParts) {
    this.id = parts.runId;
    this.#parts = parts;
    this.#current = new CurrentHead(parts);
  }

  get state(): AgentState {
    return this.#parts.head().state;
  }

  get durableSeq(): number {
    return this.#parts.head().durableSeq;
  }

  get events(): Run["events"] {
    return (options = {}) => {
      checkKeys("events", options, ["from", "types", "follow"]);
      return readEvents(this.#current, this.#parts.log, checkReadOptions(options));
    };
  }

  get batches(): Run["batches"] {
    const { log, bus } = this.#parts;
    const onListening = (): void => {
      this.#parts.onListening();
    };
    const onLeaving = (): void => {
      this.#parts.follower()?.attend();
    };
    const parts = { head: this.#current, log, bus, onListening, onLeaving };
    return (options) => readBatches(parts, checkBatchOptions(options));
  }

  [Symbol.asyncIterator](): AsyncIterator<Event> {
    return readEvents(this.#current, this.#parts.log);
  }

  get history(): Run["history"] {
    return (pattern = "*", limit = 50) => {
      checkPattern(pattern);
      checkOption("limit", limit, Number.isInteger(limit) && limit > 0, "a whole number from 1");
      return this.#current.refresh().then(() => readHistory(this.#current, this.#parts.log, pattern, limit));
    };
  }

  get subscribe(): Run["subscribe"] {
    return (pattern, listener, options = {}) => {
      checkPattern(pattern);
      checkOption("listener", typeof listener, typeof listener === "function", "a function");
      checkSubscribeOptions(options);
      const lane = new Lane(options);
      const off = this.#parts.bus.subscribe(pattern, listener, lane);
      this.#parts.onListening();
      const undo = (): void => {
        off();
        lane.close();
        this.#parts.follower()?.attend();
      };
      lane.undo = undo;
      return undo;
    };
  }

  get interrupt(): Run["interrupt"] {
    return (reason, options) => interruptRun(this.#parts, reason, options);
  }

  get resume(): Run["resume"] {
    return (instruction, options) => this.#goOn(instruction, options);
  }

  get send(): Run["send"] {
    return (text, options) => this.#say(text, options);
  }

  get cancel(): Run["cancel"] {
    return (reason, options) => this.#end(reason, options);
  }

  get approve(): Run["approve"] {
    return (callId, options) => this.#allow(callId, options);
  }

  get reject(): Run["reject"] {
    return (callId, reason, options) => this.#refuse(callId, reason, options);
  }

  get settleCall(): Run["settleCall"] {
    return (callId, result) => this.#settleOrphan(callId, result);
  }

  get settled(): Run["settled"] {
    return () => this.#atRest();
  }

  get background(): Run["background"] {
    return (name, task) => {
      if (this.#parts.isClosed()) return false;
      const started = this.#parts.tasks.start(name, task);
      if (started) this.#parts.onBackground();
      return started;
    };
  }

  get stats(): Run["stats"] {
    return () => {
      this.#parts.head().flush?.();
      return { ...this.#parts.bus.stats(), tasks: this.#parts.tasks.size };
    };
  }

  /** What another process answered counts as it is: it was made by the same functions there. */
  async #order(asked: Command, verb: () => Verb, graceMs?: number): Promise<Receipt> {
    const answered = await this.#parts.command(asked, verb, graceMs);
    return "here" in answered ? answered.here : answered.there;
  }

  /** At once where this process has the run and it rests: a stop is waited for with this as well. */
  #atRest(): Promise<Outcome> {
    const head = this.#parts.owner()?.head;
    return head?.atRest === true
      ? Promise.resolve(outcomeOf(head.state, head.failure, head.durableSeq))
      : this.#untilRest();
  }

  async #untilRest(): Promise<Outcome> {
    const following = this.#parts.follower();
    if (following !== undefined) await following.refresh().catch(() => {});
    for (;;) {
      const waited = this.#parts.head();
      const outcome = await waited.rest(() => {
        // Another head counts by now: this process took the run over, or let it go.
        if (this.#parts.head() !== waited) return undefined;
        const { state, failure, durableSeq } = waited;
        const left = this.#parts.owner() === undefined && failure === undefined && !isAtRest(state);
        return left ? notRunning(state) : outcomeOf(state, failure, durableSeq);
      });
      if (outcome !== undefined) return outcome;
    }
  }

  async #goOn(instruction?: string, options: ResumeOptions = {}): Promise<Receipt> {
    const { partial = "keep", budget, by = "user" } = options;
    checkKeys("resume", options, ["partial", "budget", "by", ...CALLER_KEYS]);
    checkOption(
      "partial",
      partial,
      ["keep", "continue", "discard"].includes(partial),
      '"keep", "continue" or "discard"',
    );
    checkWords({ instruction: instruction ?? "", by });
    if (budget !== undefined) checkBudget("budget", budget, ["maxSteps"]);
    const text = instruction === undefined || instruction.trim() === "" ? undefined : instruction.toWellFormed();
    const more = budget === undefined ? {} : { budget: { ...budget } };
    const caller = checkCaller(options);
    const input = text === undefined ? {} : { input: { id: newInputId(), text } };
    return this.#order({ type: "resume", by, partial, ...input, ...more, ...calledBy(caller) }, () => ({
      verb: "resume",
      partial,
      by,
      ...(text === undefined ? {} : { instruction: text }),
      ...more,
      ...caller,
    }));
  }

  async #say(said: string, options: SendOptions = {}): Promise<SendReceipt> {
    const { when = "step", id = newInputId() } = options;
    checkKeys("send", options, ["when", "id", ...CALLER_KEYS]);
    checkText("send", said);
    // Half a character is refused by endpoints, for good: it stays in the conversation.
    const text = said.toWellFormed();
    checkOption("id", id, isInputId(id) && id !== FIRST_INPUT, `1 to 128 characters other than "${FIRST_INPUT}"`);
    checkOption("when", when, ["now", "step", "done"].includes(when), '"now", "step" or "done"');
    const caller = checkCaller(options);
    const receipt = await this.#order({ type: "send", id, text, when, ...calledBy(caller) }, () => ({
      verb: "send",
      text,
      when,
      id,
      ...caller,
    }));
    return receipt.accepted ? { ...receipt, id } : receipt;
  }

  async #end(reason = "", options: CancelOptions = {}): Promise<Receipt> {
    const { graceMs, by = "user" } = options;
    checkKeys("cancel", options, ["graceMs", "by"]);
    checkGrace(graceMs);
    checkWords({ reason, by });
    const inside = insideCall(this.id) || this.#parts.bus.delivering;
    const answered = await this.#parts.command(
      { type: "cancel", by, reason },
      () => ({ verb: "cancel", reason, by, ...(graceMs === undefined ? {} : { graceMs }) }),
      graceMs,
    );
    if ("there" in answered) return answered.there;
    const receipt = answered.here;
    if (!receipt.accepted || inside) return receipt;
    return this.#parts.head().rest(() => receipt);
  }

  async #allow(callId: string, options: ApproveOptions = {}): Promise<Receipt> {
    const { args, answer, forRun, argsHash, by = "user" } = options;
    checkKeys("approve", options, ["args", "answer", "forRun", "argsHash", "by", ...CALLER_KEYS]);
    checkWords({
      callId,
      by,
      ...(answer === undefined ? {} : { answer }),
      ...(argsHash === undefined ? {} : { argsHash }),
    });
    const more = {
      ...(args === undefined ? {} : { args: toJson(args) }),
      ...(answer === undefined ? {} : { answer: answer.toWellFormed() }),
      ...(forRun === true ? { forRun } : {}),
      ...(argsHash === undefined ? {} : { argsHash }),
    };
    const caller = checkCaller(options);
    return this.#order({ type: "approve", by, callId, ...more, ...calledBy(caller) }, () => ({
      verb: "approve",
      callId,
      by,
      ...more,
      ...caller,
    }));
  }

  async #refuse(callId: string, why = "", options: RejectOptions = {}): Promise<Receipt> {
    const { by = "user" } = options;
    checkKeys("reject", options, ["by", ...CALLER_KEYS]);
    checkWords({ callId, reason: why, by });
    const reason = why.toWellFormed();
    const caller = checkCaller(options);
    return this.#order({ type: "reject", by, callId, reason, ...calledBy(caller) }, () => ({
      verb: "reject",
      callId,
      reason,
      by,
      ...caller,
    }));
  }

  async #settleOrphan(callId: string, result: CallResult): Promise<Receipt> {
    checkWords({ callId });
    checkKeys("settleCall", result, ["output", "error"]);
    checkOption("result", result, "output" in result !== "error" in result, "{ output } or { error }");
    if ("error" in result) {
      checkWords({ error: result.error });
      const error = result.error.toWellFormed();
      return this.#order({ type: "settle", callId, result: { error: { code: "tool", message: error } } }, () => ({
        verb: "settle",
        callId,
        error,
      }));
    }
    const output = toJson(result.output);
    return this.#order({ type: "settle", callId, result: { output } }, () => ({ verb: "settle", callId, output }));
  }
}

function calledBy(caller: TraceHeaders | undefined): { readonly caller?: TraceHeaders } {
  return caller === undefined ? {} : { caller };
}
