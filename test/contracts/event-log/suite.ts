import { expect, it } from "vitest";
import { RubatoError, type Event } from "rubato";
import type { EventLog } from "../../../runtime/log/event-log.ts";

/** What a suite needs of an adapter: an empty log, another look at the same one, and its end. */
export interface LogUnderTest {
  readonly log: EventLog;
  /** A log over the same data, as another process has it. The same object where no other can exist. */
  readonly other: EventLog;
  close?(): Promise<void>;
}

/** How a topic of the contract declares a test. Everything is awaited: an adapter may answer at once or later. */
export interface Suite {
  readonly on: (what: string, test: (log: EventLog, other: EventLog) => Promise<void>) => void;
}

export function suiteOf(open: () => LogUnderTest | Promise<LogUnderTest>): Suite {
  return {
    on(what, test) {
      it(what, async () => {
        const under = await open();
        try {
          await test(under.log, under.other);
        } finally {
          await under.close?.();
        }
      });
    },
  };
}

export async function all(log: EventLog, runId: string): Promise<readonly Event[]> {
  return log.read(runId, { after: 0, limit: 200_000 });
}

export async function append(log: EventLog, runId: string, batch: readonly Event[], epoch = 1): Promise<void> {
  await log.append(runId, { epoch, events: batch });
}

export async function caught(act: () => unknown): Promise<unknown> {
  try {
    await act();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** A refusal is a RubatoError, and the run and the list are as they were. */
export async function refused(log: EventLog, runId: string, code: string, act: () => Promise<unknown>): Promise<void> {
  const before = [await all(log, runId), await log.head(runId), await log.list()];
  const error = await caught(act);
  expect(error).toBeInstanceOf(RubatoError);
  expect(error).toMatchObject({ code });
  expect([await all(log, runId), await log.head(runId), await log.list()]).toEqual(before);
}

/** Resolves when a callback finds what the act leads to: one may come early, or for nothing. The test's own timeout is the limit. */
export async function told(
  watch: (onChange: () => void) => () => void,
  act: () => Promise<unknown>,
  found: () => Promise<boolean>,
): Promise<void> {
  let undo = (): void => {};
  const seen = new Promise<void>((resolve, reject) => {
    undo = watch(() => {
      found().then((yes) => {
        if (yes) resolve();
      }, reject);
    });
  });
  try {
    await act();
    await seen;
  } finally {
    undo();
  }
}
