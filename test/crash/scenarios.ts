import { appendFileSync, closeSync, fsyncSync, openSync } from "node:fs";
import { z } from "zod";
import { createAgent, defineTool, type Agent, type Run, type Tool } from "../../runtime/index.ts";
import type { EventLog } from "../../runtime/log/event-log.ts";
import type { Message } from "../../machines/messages.ts";
import { scriptedModel, toolCalls, type ScriptStep } from "../../runtime/models/scripted.ts";

/**
 * Runs that are killed. The model decides from the conversation alone, so it comes to the same answer however often its process died; the tools
 * write what they do to a ledger outside the runtime, on the disk before and after their effect.
 */
export const SCENARIOS = ["one_tool", "parallel", "interrupt", "redirect", "control"] as const;
export type Scenario = (typeof SCENARIOS)[number];

export const ANSWER = "The weather was looked up and the bill was dealt with.";
export const RUN_ID = "killed";

export interface LedgerLine {
  readonly at: "start" | "end";
  readonly tool: string;
  readonly callId: string;
  readonly attempt: number;
  readonly key: string;
}

export interface Parts {
  readonly log: EventLog;
  /** The path of the ledger. */
  readonly ledger: string;
  /** Called when a tool has had its effect and has not answered yet. */
  readonly afterEffect?: (callId: string) => void;
  /** Makes every tool wait, so that a kill at a random time often meets one that runs. */
  readonly pace?: () => Promise<void>;
}

export function agentOf(
  scenario: Scenario,
  { log, ledger, afterEffect = () => {}, pace = async () => {} }: Parts,
): Agent {
  const note = (line: LedgerLine): void => {
    const fd = openSync(ledger, "a");
    appendFileSync(fd, `${JSON.stringify(line)}\n`);
    fsyncSync(fd);
    closeSync(fd);
  };
  const tool = (name: string, idempotent: boolean): Tool =>
    defineTool({
      name,
      description: `The tool ${name}`,
      input: z.object({ what: z.string() }),
      idempotent,
      async execute({ what }, ctx) {
        const { callId, attempt, idempotencyKey } = ctx;
        note({ at: "start", tool: name, callId, attempt, key: idempotencyKey });
        ctx.progress({ what });
        await pace();
        note({ at: "end", tool: name, callId, attempt, key: idempotencyKey });
        afterEffect(callId);
        await pace();
        return `${name} ${what}`;
      },
    });
  const controlled = scenario === "control";
  return createAgent({
    name: "killed",
    model: scriptedModel((request, index) =>
      // The first request of each process fails in the middle of its answer, and is made again.
      controlled && index === 0 ? ["Let me", { error: busy() }] : decide(scenario, request.messages),
    ),
    tools: [tool("look", true), tool("pay", false)],
    log,
    ...(controlled ? { budget: BUDGET, approval: ({ tool: name }) => name === "pay", retry: { baseMs: 1 } } : {}),
  });
}

/** Used up by the first answer that says what it used. */
const BUDGET = { outputTokens: 8 };
/** What the person raises it to. */
const MORE = { outputTokens: 1_000 };

function busy(): Error {
  return Object.assign(new Error("The endpoint is busy."), { status: 503 });
}

const USED = { inputTokens: 3, outputTokens: 9 };

/** Looks until every look has answered; pays once, whatever came of it. */
function decide(scenario: Scenario, messages: readonly Message[]): ScriptStep {
  const wanted = scenario === "parallel" ? ["Paris", "Rome"] : ["Paris"];
  const looked = new Set(
    messages.flatMap((message) =>
      message.role === "tool" && message.name === "look" && message.outcome === "ok" ? [message.content] : [],
    ),
  );
  const missing = wanted.filter((city) => !looked.has(`look ${city}`));
  const pays = scenario === "parallel" || scenario === "control";
  const mustPay = pays && !messages.some((message) => message.role === "tool" && message.name === "pay");
  if (missing.length > 0 || mustPay) {
    const calls = missing.map((city) => ({ name: "look", args: { what: city } }));
    if (mustPay) calls.push({ name: "pay", args: { what: "bill" } });
    return [
      "Let me see to that.",
      ...toolCalls(calls, { fragment: 8 }),
      { type: "finish", finish: "tool_calls", ...(scenario === "control" ? { usage: USED } : {}) },
    ];
  }
  return [ANSWER, { type: "finish", finish: "stop", usage: { inputTokens: 5, outputTokens: 9 } }];
}

/** What a person does with a run that rests and is not done: allows what waits, raises what is used up, and else says that it is to go on. */
export async function goOn(run: Run): Promise<void> {
  const [pending] = run.state.pendingApprovals;
  if (pending !== undefined) await run.approve(pending.callId);
  else await run.resume(run.state.limit === undefined ? "Please go on." : undefined, { budget: MORE });
}

/** What the person does while the run works. Ends when the run is at rest. */
export async function drive(scenario: Scenario, run: Run): Promise<void> {
  let seen = 0;
  for await (const event of run.events({ types: ["token_stream", "tool_start"] })) {
    seen++;
    if (scenario === "interrupt" && seen === 3) await run.interrupt("killed", { mode: "now" });
    if (scenario === "redirect" && event.type === "token_stream" && seen === 3) {
      await run.send("Go on all the same.", { when: "now", id: "redirect" });
    }
  }
  let outcome = await run.settled();
  for (let time = 0; time < 5 && outcome.status !== "done"; time++) {
    await goOn(run);
    outcome = await run.settled();
  }
}
