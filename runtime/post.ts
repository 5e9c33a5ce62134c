import { z } from "zod";
import { callerFields, jsonSchema, type Json } from "../machines/events.ts";
import { traceHeaders, type TraceHeaders } from "../machines/trace-context.ts";
import { toJson } from "./arguments.ts";
import type { Clock } from "./clock.ts";
import { messageOf } from "./errors.ts";
import type { EventLog } from "./log/event-log.ts";
import type { ApproveOptions, CallerOptions, Receipt, Run } from "./run.ts";
import type { Tasks } from "./tasks.ts";

/**
 * Commands to a run that another process owns: they travel through the log's inbox, and the owner's answer comes back the same way.
 *
 * N1 A command is either taken by the owner or withdrawn by its sender, never both: `no_answer` means that nothing was or will be done.
 * N2 A taken command is waited for as long as the owner that took it lives, and this agent is open. Where another one has the run by then nobody can
 *    tell who took it: the answer has as long to come as a command has to be taken.
 */

const by = z.string();
const graceMs = z.number().optional();
const verbSchema = z.discriminatedUnion("verb", [
  z.object({ verb: z.literal("interrupt"), reason: z.string(), mode: z.enum(["step", "now"]), graceMs, by }),
  z.object({ verb: z.literal("cancel"), reason: z.string(), graceMs, by }),
  z.object({
    verb: z.literal("resume"),
    instruction: z.string().optional(),
    partial: z.enum(["keep", "continue", "discard"]),
    budget: z.record(z.string(), z.number()).optional(),
    by,
    ...callerFields,
  }),
  z.object({
    verb: z.literal("send"),
    text: z.string(),
    when: z.enum(["now", "step", "done"]),
    id: z.string(),
    ...callerFields,
  }),
  z.object({
    verb: z.literal("approve"),
    callId: z.string(),
    args: jsonSchema.optional(),
    answer: z.string().optional(),
    forRun: z.literal(true).optional(),
    argsHash: z.string().optional(),
    by,
    ...callerFields,
  }),
  z.object({ verb: z.literal("reject"), callId: z.string(), reason: z.string(), by, ...callerFields }),
  z.object({
    verb: z.literal("settle"),
    callId: z.string(),
    output: jsonSchema.optional(),
    error: z.string().optional(),
  }),
]);

/** A command as it travels. */
export type Verb = z.infer<typeof verbSchema>;

const receiptSchema = z.union([
  z.looseObject({ accepted: z.literal(true), seq: z.number() }),
  z.looseObject({ accepted: z.literal(false), reason: z.string() }),
]);

/** The owner's receipt; `unowned` when that owner has the run no more and the command was not taken. */
type OwnersAnswer = z.infer<typeof receiptSchema> | "unowned";

/** What a command was answered by: this process, or the one that owns the run. */
export type Answered = { readonly here: Receipt } | { readonly there: Exclude<OwnersAnswer, "unowned"> };

export interface AskOptions {
  readonly log: EventLog;
  readonly clock: Clock;
  readonly runId: string;
  /** How long the command waits to be taken, ms. */
  readonly timeoutMs: number;
  /** The sender does not wait any longer. */
  readonly isClosed: () => boolean;
  /** Called when that changes. */
  readonly asking: Set<() => void>;
}

/** How often an owner that has not answered is asked whether it lives, ms. */
const LIVENESS_MS = 500;

/** Leaves a command for the owner and waits for the answer. */
export async function askOwner(options: AskOptions, verb: Verb): Promise<OwnersAnswer> {
  const { log, clock, runId, timeoutMs, isClosed, asking } = options;
  const { inbox } = log;
  let wake = (): void => {};
  const onChange = (): void => {
    wake();
  };
  const unwatch = inbox.watch(runId, onChange);
  asking.add(onChange);
  const until = clock.monotonic() + timeoutMs;
  let lostUntil = Number.POSITIVE_INFINITY;
  try {
    const { epoch: asked } = await log.head(runId);
    const id = await inbox.post(runId, toJson(verb));
    let taken = false;
    for (;;) {
      // Armed before looking, so that an answer which comes in between is not slept through.
      let cancel = (): void => {};
      const change = new Promise<void>((resolve) => {
        wake = resolve;
        cancel = clock.timer(Math.min(LIVENESS_MS, timeoutMs), resolve);
      });
      try {
        const answer = await inbox.answered(runId, id);
        if (answer !== undefined) return receiptSchema.parse(answer);
        const { owned, epoch } = await log.head(runId);
        const lost = !owned || epoch !== asked;
        const closed = isClosed();
        if (!taken && (lost || closed || clock.monotonic() >= until)) {
          taken = !(await inbox.withdraw(runId, id));
          if (!taken && !closed && lost) return "unowned";
          if (!taken) return { accepted: false, reason: closed ? "closed" : "no_answer" };
        }
        if (lost && lostUntil === Number.POSITIVE_INFINITY) lostUntil = clock.monotonic() + timeoutMs;
        if (taken && (closed || !owned || clock.monotonic() >= lostUntil)) {
          const late = await inbox.answered(runId, id);
          if (late !== undefined) return receiptSchema.parse(late);
          return { accepted: false, reason: closed ? "closed" : "owner_gone" };
        }
        if (!isClosed()) await change;
      } finally {
        cancel();
      }
    }
  } finally {
    asking.delete(onChange);
    unwatch();
  }
}

export interface ServeOptions {
  readonly log: EventLog;
  readonly runId: string;
  readonly epoch: number;
  readonly run: Run;
  /** Owns what is under way. */
  readonly tasks: Pick<Tasks, "adopt">;
}

/** Does what other processes ask of this run, until it is closed. */
export function serveInbox(options: ServeOptions): { close(): void } {
  return new ServedInbox(options);
}

class ServedInbox {
  private readonly options: ServeOptions;
  private readonly unwatch: () => void;
  private closed = false;
  private taking = false;
  private again = false;

  constructor(options: ServeOptions) {
    this.options = options;
    this.unwatch = options.log.inbox.watch(options.runId, () => {
      this.look();
    });
    // What was left for an owner before this one. A run that was just made has none.
    if (options.epoch > 1) this.look();
  }

  private look(): void {
    if (this.closed) return;
    if (this.taking) this.again = true;
    else this.options.tasks.adopt("the inbox", this.take());
  }

  private async take(): Promise<void> {
    const { log, runId, epoch, run, tasks } = this.options;
    this.taking = true;
    try {
      do {
        this.again = false;
        for (const { id, command } of await log.inbox.take(runId, epoch)) {
          tasks.adopt(
            "a command from another process",
            perform(run, command).then(async (answer) => log.inbox.answer(runId, id, toJson(answer))),
          );
        }
      } while (this.again && !this.closed);
    } finally {
      this.taking = false;
    }
  }

  close(): void {
    this.closed = true;
    this.unwatch();
  }
}

/** One that cannot be read is none: nobody's command fails for it. */
function callerOf({ traceparent, tracestate }: CallerOptions): TraceHeaders | undefined {
  return traceHeaders(traceparent, tracestate);
}

/** Field by field: what was left out is not there. */
function approvalOf(verb: Extract<Verb, { verb: "approve" }>): ApproveOptions {
  const { args, answer, forRun, argsHash, by: who } = verb;
  return {
    by: who,
    ...callerOf(verb),
    ...(args === undefined ? {} : { args }),
    ...(answer === undefined ? {} : { answer }),
    ...(forRun === undefined ? {} : { forRun }),
    ...(argsHash === undefined ? {} : { argsHash }),
  };
}

/** What comes from another process is checked like any input: a command that cannot be is answered, never thrown. */
async function perform(run: Run, command: Json): Promise<Receipt | Awaited<ReturnType<Run["interrupt"]>>> {
  const parsed = verbSchema.safeParse(command);
  if (!parsed.success) return { accepted: false, reason: "unknown_command" };
  const verb = parsed.data;
  try {
    switch (verb.verb) {
      case "interrupt": {
        const { reason, mode, graceMs: grace, by: who } = verb;
        return await run.interrupt(reason, { mode, by: who, ...(grace === undefined ? {} : { graceMs: grace }) });
      }
      case "cancel": {
        const { reason, graceMs: grace, by: who } = verb;
        return await run.cancel(reason, { by: who, ...(grace === undefined ? {} : { graceMs: grace }) });
      }
      case "resume": {
        const { instruction, partial, budget, by: who } = verb;
        const raised = budget === undefined ? {} : { budget };
        return await run.resume(instruction, { partial, by: who, ...raised, ...callerOf(verb) });
      }
      case "send":
        return await run.send(verb.text, { when: verb.when, id: verb.id, ...callerOf(verb) });
      case "approve":
        return await run.approve(verb.callId, approvalOf(verb));
      case "reject":
        return await run.reject(verb.callId, verb.reason, { by: verb.by, ...callerOf(verb) });
      case "settle":
        return await run.settleCall(
          verb.callId,
          verb.error === undefined ? { output: verb.output ?? null } : { error: verb.error },
        );
    }
  } catch (error) {
    return { accepted: false, reason: messageOf(error) };
  }
}
