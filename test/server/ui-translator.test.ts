import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Event } from "rubato/machines";
import { choices, randomLog } from "../support/random-walk.ts";
import { recordedLogs } from "../support/recorded-logs.ts";
import { checkUi, saidIn, textOf, toolStates, uiStream } from "./ui-check.ts";

/** What is wrong with the message that a client makes of the first events of a log. */
async function problemsOf(log: readonly Event[], to: number, whole = false): Promise<string[]> {
  const { chunks, state } = uiStream(log, 0, to, { whole });
  const { message, problems } = await checkUi(chunks);
  const found = [...problems];
  const said = saidIn(log.slice(0, to), !whole);
  if (textOf(message) !== said)
    found.push(`text: ${JSON.stringify(textOf(message))} instead of ${JSON.stringify(said)}`);
  const states = toolStates(message);
  for (const { callId, outcome, phase } of state.toolCalls.values()) {
    const shown = states[callId] ?? "nothing";
    if (outcome !== undefined && !shown.startsWith("output-"))
      found.push(`${callId} is ${outcome} and shown as ${shown}`);
    const asked = log.slice(0, to).some((event) => event.type === "approval_request" && event.data.callId === callId);
    if (asked && phase === "awaiting_approval" && shown !== "approval-requested")
      found.push(`${callId} waits and is ${shown}`);
  }
  return found.map((problem) => `0..${to}: ${problem}`);
}

describe("a run as a UI message stream", () => {
  it("is valid and shows what the log says, for every prefix of real runs", async () => {
    for (const log of await recordedLogs()) {
      for (let to = 1; to <= log.length; to += 7) expect(await problemsOf(log, to)).toEqual([]);
      expect(await problemsOf(log, log.length)).toEqual([]);
      expect(await problemsOf(log, log.length, true)).toEqual([]);
    }
  });

  it("is valid and shows what the log says wherever it ends, for random logs", async () => {
    await fc.assert(
      fc.asyncProperty(choices, fc.boolean(), async (walk, whole) => {
        const log = randomLog(walk);
        for (let to = 1; to <= log.length; to += 11) expect(await problemsOf(log, to, whole)).toEqual([]);
        expect(await problemsOf(log, log.length, whole)).toEqual([]);
      }),
      { numRuns: 60, endOnFailure: true },
    );
  });
});
