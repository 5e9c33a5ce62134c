import type { EventLog } from "../log/event-log.ts";
import { logPages } from "../log-pages.ts";
import type { InterruptReceipt } from "../run.ts";
import { describeDuration } from "./describe-duration.ts";
import { describeInterrupted } from "./describe-interrupt.ts";
import { NO_TURN, trace } from "./turn-trace.ts";

/** How far before the interrupt its step is looked for: a step is rarely longer, and a longer one costs the words about its place alone. */
const BEFORE = 5_000;

/** What an interrupt did, in one line, with the words that the log has for it. */
export async function receiptLine(
  log: EventLog,
  runId: string,
  receipt: Extract<InterruptReceipt, { accepted: true }>,
): Promise<string> {
  const { seq, effective, latencyMs } = receipt;
  if (!effective) return `recorded at seq ${seq}, something else ended the run first`;
  let turn = NO_TURN;
  for await (const page of logPages(log, runId, { after: Math.max(0, seq - BEFORE) })) {
    for (const event of page) {
      turn = trace(turn, event);
      if (event.type !== "interrupted" || event.seq < seq) continue;
      return describeInterrupted({ ...event.data, latencyMs: latencyMs ?? event.data.latencyMs }, turn);
    }
  }
  return `interrupted, ${describeDuration(latencyMs ?? 0)}`;
}
