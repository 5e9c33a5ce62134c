import type { Command } from "../machines/command.ts";
import type { Event } from "../machines/events.ts";
import type { Bus } from "./bus.ts";
import { insideCall } from "./call-scope.ts";
import { checkGrace, checkOption, checkWords } from "./checks.ts";
import { milliseconds, type Clock } from "./clock.ts";
import type { SeenHead } from "./current-head.ts";
import type { Owner } from "./owner.ts";
import type { OwnersAnswer, Verb } from "./post.ts";
import type { InterruptOptions, InterruptReceipt, Receipt } from "./run.ts";

/**
 * The command that stops a run, and the wait for what it ends in.
 *
 * I1 An accepted interrupt ends in `interrupted` or `cancelled`, or the log fails and the run rests without them. The receipt tells which.
 * I2 Where the run has stopped by the time the command is answered, nothing is listened to and nothing waited for: a stop has no time for it.
 */

/** What a command was answered by: this process, or the one that owns the run. */
export type Answered = { readonly here: Receipt } | { readonly there: Exclude<OwnersAnswer, "unowned"> };

/** What a run gives to be stopped. */
export interface StoppableRun {
  readonly runId: string;
  readonly clock: Clock;
  readonly bus: Bus;
  /** To be woken when the log fails: interrupts that wait to become effective. */
  readonly stopping: Set<() => void>;
  /** The head that counts now. */
  head(): SeenHead;
  owner(): Owner | undefined;
  command(asked: Command, verb: () => Verb, graceMs?: number): Answered | Promise<Answered>;
}

const STOPS = ["interrupted", "cancelled"] as const;

interface Stop {
  readonly event: Event;
  readonly latencyMs: number;
}

export async function interruptRun(
  run: StoppableRun,
  reason = "",
  options: InterruptOptions = {},
): Promise<InterruptReceipt> {
  const { mode = "step", graceMs, by = "user" } = options;
  checkOption("mode", mode, mode === "step" || mode === "now", '"step" or "now"');
  checkGrace(graceMs);
  checkWords({ reason, by });
  // Before the command, which may end the tool that it is given in.
  const inside = insideCall(run.runId) || run.bus.delivering;
  const asked = run.clock.monotonic();
  const answered = run.command(
    { type: "interrupt", by, reason, mode },
    () => ({ verb: "interrupt", reason, mode, by, ...(graceMs === undefined ? {} : { graceMs }) }),
    graceMs,
  );
  const stop = stopSoFar(run, asked);
  if (!(answered instanceof Promise) && "here" in answered) {
    const { here } = answered;
    if (!here.accepted) return here;
    if (isBehind(stop, here.seq)) return effectOf(here.seq, stop);
  }
  return untilStopped(run, answered, { asked, inside, stop, hurry: mode === "now" ? graceMs : undefined });
}

/** The latest that was told. */
function stopSoFar(run: StoppableRun, asked: number): Stop | undefined {
  const head = run.owner()?.head;
  const event = head?.lastStop;
  if (head === undefined || event === undefined || event.seq > head.publishedSeq) return undefined;
  return { event, latencyMs: milliseconds(run.clock.monotonic() - asked) };
}

/** What was recorded before a command was asked for by somebody else, also where the command waited for its turn. */
function isBehind(stop: Stop | undefined, seq: number): stop is Stop {
  return stop !== undefined && stop.event.seq > seq;
}

interface Waiting {
  readonly asked: number;
  /** The caller holds up what it would wait for. */
  readonly inside: boolean;
  /** What was told when the command had been given. */
  readonly stop: Stop | undefined;
  /** The grace of an interrupt in mode `now`. */
  readonly hurry: number | undefined;
}

async function untilStopped(
  run: StoppableRun,
  answered: Answered | Promise<Answered>,
  { asked, inside, stop: early, hurry }: Waiting,
): Promise<InterruptReceipt> {
  const { bus, clock, stopping } = run;
  const stops = early === undefined ? [] : [early];
  let next = (): void => {};
  const wake = (): void => {
    next();
  };
  // A tap: it is no listener, so the log is the same with it and without it.
  const off = bus.tap(STOPS, (event) => {
    stops.push({ event, latencyMs: milliseconds(clock.monotonic() - asked) });
    wake();
  });
  stopping.add(wake);
  try {
    const answer = await answered;
    if ("there" in answer) return effectThere(answer.there);
    const receipt = answer.here;
    if (!receipt.accepted) return receipt;
    // Also where somebody had asked before: the shorter grace counts.
    if (hurry !== undefined) run.owner()?.hurry(hurry);
    const { seq } = receipt;
    const mine = (): Stop | undefined => stops.find((stop) => isBehind(stop, seq));
    while (mine() === undefined && !inside && run.head().failure === undefined) {
      await new Promise<void>((resolve) => {
        next = resolve;
      });
    }
    return effectOf(seq, mine());
  } finally {
    stopping.delete(wake);
    off();
  }
}

function effectOf(seq: number, stop: Stop | undefined): InterruptReceipt {
  if (stop?.event.type !== "interrupted") return { accepted: true, seq, effective: false };
  const { where, step, keptChars } = stop.event.data;
  return { accepted: true, seq, effective: true, where, step, keptChars, latencyMs: stop.latencyMs };
}

/** What another process answered counts as it is: it was made by the same functions there. */
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
