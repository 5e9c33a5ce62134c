import { describe } from "vitest";
import { appendContract } from "./event-log/append.ts";
import { hostileContract } from "./event-log/hostile.ts";
import { inboxContract } from "./event-log/inbox.ts";
import { listContract } from "./event-log/list.ts";
import { ownerContract } from "./event-log/owner.ts";
import { pruneContract } from "./event-log/prune.ts";
import { readContract } from "./event-log/read.ts";
import { suiteOf, type LogUnderTest } from "./event-log/suite.ts";
import { watchContract } from "./event-log/watch.ts";

const TOPICS = [
  appendContract,
  readContract,
  hostileContract,
  listContract,
  ownerContract,
  watchContract,
  inboxContract,
  pruneContract,
];

/** Every adapter of the port passes this, and a new one begins with it. */
export function describeEventLog(name: string, open: () => LogUnderTest | Promise<LogUnderTest>): void {
  describe(`EventLog: ${name}`, () => {
    for (const topic of TOPICS) topic(suiteOf(open));
  });
}
