import { expect } from "vitest";
import { createAgent, verify, type Agent } from "rubato";
import type { Event } from "rubato/machines";
import type { EventLog } from "../../runtime/log/event-log.ts";
import { memoryLog } from "../../runtime/log/memory.ts";
import { GOLDEN_ANSWER, goldenModel, goldenTools, type Ledger } from "./golden-run.ts";
import { checkLog } from "./invariants.ts";
import { stored } from "./logs.ts";
import { manualClock } from "./manual-clock.ts";
import { recordedLogs } from "./recorded-logs.ts";

export function goldenAgent(log: EventLog, ledger: Ledger): Agent {
  return createAgent({
    name: "recorded",
    model: goldenModel(),
    tools: goldenTools(ledger),
    log,
    clock: manualClock(),
  });
}

/** A log that a process left behind after its k-th event. */
export async function leftBehind(events: readonly Event[]): Promise<EventLog> {
  const log = memoryLog();
  const [first] = events;
  if (first === undefined) return log;
  const owners = events.filter((event) => event.type === "owner");
  const epoch = Math.max(1, ...owners.map((event) => event.data.epoch));
  await log.append(first.runId, { epoch, events });
  await log.release(first.runId, epoch);
  return log;
}

/**
 * Resumes every `stride`-th prefix of recorded runs in a new agent, as after a crash, and checks each: P8, P20, P21, I4-I6, I14, I15. Answers how many
 * went on.
 */
export async function resumePrefixes(stride: number): Promise<number> {
  let resumed = 0;
  let offset = 0;
  for (const recorded of await recordedLogs()) {
    for (let k = 2 + (offset++ % stride); k <= recorded.length; k += stride) {
      const prefix = recorded.slice(0, k);
      const log = await leftBehind(prefix);
      const ledger: Ledger = { started: [], finished: [], aborted: [] };
      const agent = goldenAgent(log, ledger);
      const before = checkLog(prefix);
      const answer = await agent.resume("r");
      const run = await agent.open("r");
      const outcome = await run.settled();
      const after = await stored(log, "r");
      expect(await verify(log, "r"), `verify at ${k}`).toEqual({ ok: true, events: after.length, seq: after.length });
      expect(await agent.checkReplay("r"), `checkReplay at ${k}`).toMatchObject({ ok: true });
      await agent.close();
      expect(after.slice(0, k), `what was recorded up to ${k}`).toEqual(prefix);
      checkLog(after);
      // Over, and nothing waits to follow.
      if ((before.status === "done" && before.core.context.after === 0) || before.status === "cancelled") {
        expect(answer, `P21 over is over at ${k}`).toEqual({ accepted: false, reason: before.status });
        expect(after).toHaveLength(k);
        continue;
      }
      expect(answer.accepted, `resume at ${k} in ${before.value}`).toBe(true);
      resumed++;
      if (outcome.status === "cancelled") {
        expect(before.core.context.cancelling, `P20 at ${k}`).toBe(true);
        continue;
      }
      expect(outcome.status, `at ${k} in ${before.value}`).toBe("done");
      expect(outcome.output).toBe(GOLDEN_ANSWER);
      // I5: what the log says was started in this process is what the tools saw.
      const starts = after.slice(k).flatMap((event) => (event.type === "tool_start" ? [event.data.callId] : []));
      expect([...ledger.started].sort()).toEqual(starts.sort());
    }
  }
  return resumed;
}
