import type { TraceHeaders } from "../../machines/trace-context.ts";
import type { Run } from "../run.ts";
import { commandOf, mayBegin, perform, type Commander } from "./commands.ts";
import { shuttingDown, type Caller, type Core } from "./core.ts";
import type { CommandReceipt } from "./protocol.ts";
import { isRefusal, type Refusal } from "./refusal.ts";
import type { ServedRun } from "./served-runs.ts";

/**
 * A command as anybody may send it: over HTTP, in a frame of a socket that `request` opened, or in the words of another protocol. `caller`: whose trace the
 * request belongs to; that which opened a socket says nothing about what comes over it later.
 */
export async function performFor(
  core: Core,
  request: Request,
  runId: string,
  value: unknown,
  caller: TraceHeaders | undefined,
): Promise<CommandReceipt | Refusal> {
  const asked = commandOf(value);
  if (isRefusal(asked)) return asked;
  const found = await core.runFor(request, asked.verb, runId);
  if (isRefusal(found)) return found;
  if (core.closing) return shuttingDown();
  const full = mayBegin(asked) ? core.crowded(asked.verb === "fork" ? undefined : runId) : undefined;
  if (full !== undefined) return full;
  const { served, caller: who } = found;
  // A copy would be this agent's own at once, and go on with its model and its tools.
  if (asked.verb === "fork" && served.name !== served.agent.name) return { accepted: false, reason: "other_agent" };
  const receipt = await perform(served, asked, commanderOf(core, who, served, caller));
  core.metrics.command(asked.verb, receipt.accepted);
  return receipt;
}

function commanderOf(
  core: Core,
  { request, by }: Caller,
  { name, runId }: ServedRun,
  caller: TraceHeaders | undefined,
): Commander {
  return {
    by,
    caller,
    context: core.contextOf(request, name, runId),
    onRun(run: Run) {
      core.working.track(run);
    },
  };
}
