import { expect, it } from "vitest";
import { memoryLog, RubatoError, scriptedModel } from "rubato";
import { testAgent } from "../support/agents.ts";
import { describeEventLog } from "./event-log.ts";

describeEventLog("memory", () => {
  const log = memoryLog();
  return { log, other: log };
});

it("a copy of a memory log is the same log; a function without it says what to do", async () => {
  const log = memoryLog();
  const copy = { ...log };
  const { agent } = testAgent({ log: copy, model: scriptedModel(["hello"]) });
  const run = agent.run("go");
  expect(await run.settled()).toMatchObject({ status: "done" });
  expect(await log.head(run.id)).toEqual(await copy.head(run.id));
  // What is left where somebody copies its functions one by one.
  for (const symbol of Object.getOwnPropertySymbols(copy)) Reflect.deleteProperty(copy, symbol);
  const call = (): unknown => copy.head(run.id);
  expect(call).toThrow(RubatoError);
  expect(call).toThrow("{ ...log, append }");
});
