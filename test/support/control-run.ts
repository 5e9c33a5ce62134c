import { z } from "zod";
import { createAgent, defineTool, type Agent, type EventLog, type Run } from "rubato";
import type { Message } from "rubato/machines";
import { retryBucket } from "../../runtime/retry-bucket.ts";
import type { Clock } from "../../runtime/clock.ts";
import { scriptedModel, toolCalls, type ScriptStep } from "../../runtime/models/scripted.ts";

/**
 * A run of about 45 events with everything that holds a run up: a request that fails in the middle of its answer and is made again after a wait, one
 * that fails for good so that another model is asked, a budget that is used up and raised, two calls that a person allows and one that needs nobody.
 */
export const CONTROL_ANSWER = "Ann was paid, Bob was told, and the bill is in the folder.";
const USED = { inputTokens: 10, outputTokens: 20 };
export const MORE = { outputTokens: 100_000, toolCalls: 1_000 };

export interface ControlLedger {
  readonly started: string[];
}

export function controlAgent(log: EventLog, clock: Clock, ledger: ControlLedger): Agent {
  const tool = (name: string, approval: "never" | "always", idempotent: boolean) =>
    defineTool({
      name,
      description: name,
      input: z.object({ who: z.string() }),
      approval,
      idempotent,
      async execute({ who }, ctx) {
        ledger.started.push(ctx.callId);
        ctx.progress(who);
        await Promise.resolve();
        ctx.signal.throwIfAborted();
        return `${name} ${who}`;
      },
    });
  const first = scriptedModel((request, index) => {
    if (index === 0) return ["I will see", " to", { error: failure(503) }];
    if (index === 1) return ["I will see to", { error: failure(401) }];
    return decide(request.messages);
  });
  const second = scriptedModel((request) => decide(request.messages));
  return createAgent({
    name: "control",
    model: [first, { name: "second", stream: (request, options) => second.stream(request, options) }],
    tools: [tool("pay", "always", false), tool("tell", "always", true), tool("file", "never", true)],
    log,
    clock,
    budget: { outputTokens: 20, toolCalls: 1_000 },
    retry: { retries: 2, baseMs: 50, bucket: retryBucket({ capacity: 10_000 }) },
    random: () => 0.5,
    approvalTimeoutMs: 1_000_000,
  });
}

function failure(status: number): Error {
  return Object.assign(new Error(`The endpoint answered ${status}.`), { status });
}

function decide(messages: readonly Message[]): ScriptStep {
  const did = (name: string): boolean =>
    messages.some((message) => message.role === "tool" && message.name === name && message.outcome === "ok");
  const calls = [
    { name: "pay", args: { who: "Ann" } },
    { name: "tell", args: { who: "Bob" } },
    { name: "file", args: { who: "bill" } },
  ].filter(({ name }) => !did(name));
  if (calls.length === 0) return [CONTROL_ANSWER, { type: "finish", finish: "stop", usage: USED }];
  return ["I will see to it.", ...toolCalls(calls), { type: "finish", finish: "tool_calls", usage: USED }];
}

/** What a person does until the run is done: lets time pass, allows what waits, raises what is used up, goes on with the rest. */
export async function bringToEnd(run: Run, clock: { advance(ms: number): void }, raise = true): Promise<void> {
  for (let round = 0; round < 400; round++) {
    if (run.state.retry !== undefined) clock.advance(50);
    await new Promise((resolve) => setImmediate(resolve));
    const { status } = run.state;
    if (status === "done" || status === "cancelled") return;
    const [pending] = run.state.pendingApprovals;
    if (status === "waiting" && pending !== undefined) await run.approve(pending.callId);
    if ((status === "interrupted" && run.state.value === "interrupted.paused") || status === "failed") {
      await run.resume(undefined, raise ? { budget: MORE } : {});
    }
  }
}
