import type { Event } from "../machines/events.ts";
import { insideCall } from "./call-scope.ts";
import { checkGrace, checkKeys, checkOption, checkWords } from "./checks.ts";
import { milliseconds } from "./clock.ts";
import type { Answered } from "./post.ts";
import type { InterruptOptions, InterruptReceipt } from "./run.ts";
import type { RunParts } from "./run-parts.ts";

const KEYS = ["mode", "graceMs", "by"];
/** What an accepted interrupt ends in. */
const STOPS = ["interrupted", "cancelled"] as const;

interface Stop {
  readonly event: Event;
  readonly latencyMs: number;
}

type Parts = Pick<RunParts, "runId" | "bus" | "clock" | "stopping" | "head" | "owner" | "command">;

/**
 * The command that stops a run, and the wait for what it ends in.
 *
 * I1 An accepted interrupt ends in the first `interrupted` or `cancelled` behind it, or the log fails and the run rests without one. The receipt
 *    tells which.
 * I2 Where the command is answered at once and the run has stopped by then, nothing is waited for.
 */
export async function interruptRun(
  parts: Parts,
  reason = "",
  options: InterruptOptions = {},
): Promise<InterruptReceipt> {
  const { mode = "step", graceMs, by = "user" } = options;
  checkKeys("interrupt", options, KEYS);
  checkOption("mode", mode, mode === "step" || mode === "now", '"step" or "now"');
  checkGrace(graceMs);
  checkWords({ reason, by });
  const { bus, clock } = parts;
  // Before the command, which may end the tool that it is given in.
  const inside = insideCall(parts.runId) || bus.delivering;
  const asked = clock.monotonic();
  const stops: Stop[] = [];
  let wake = (): void => {};
  // A tap: it is no listener, and a stop has no time to become one.
  const off = bus.tap(STOPS, (event) => {
    stops.push({ event, latencyMs: milliseconds(clock.monotonic() - asked) });
    wake();
  });
  try {
    const answered = parts.command(
      { type: "interrupt", by, reason, mode },
      () => ({ verb: "interrupt", reason, mode, by, ...(graceMs === undefined ? {} : { graceMs }) }),
      graceMs,
    );
    const answer = answered instanceof Promise ? await answered : answered;
    if ("there" in answer) return effectThere(answer.there);
    const receipt = answer.here;
    if (!receipt.accepted) return receipt;
    // Also where somebody had asked before: the shorter grace counts.
    if (mode === "now" && graceMs !== undefined) parts.owner()?.hurry(graceMs);
    const { seq } = receipt;
    // What was recorded before this command was asked for by somebody else, also where this one waited for its turn.
    const mine = (): Stop | undefined => stops.find(({ event }) => event.seq > seq);
    let stop = mine();
    if (stop === undefined && !inside) {
      const onFailure = (): void => {
        wake();
      };
      const { stopping } = parts;
      stopping.add(onFailure);
      try {
        while ((stop = mine()) === undefined && parts.head().failure === undefined) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      } finally {
        stopping.delete(onFailure);
      }
    }
    if (stop?.event.type !== "interrupted") return { accepted: true, seq, effective: false };
    const { where, step, keptChars } = stop.event.data;
    return { accepted: true, seq, effective: true, where, step, keptChars, latencyMs: stop.latencyMs };
  } finally {
    off();
  }
}

/** The receipt of an interrupt, from what another process answered. */
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
