import type { EventData } from "../../machines/events.ts";
import { traceHeaders, type TraceHeaders } from "../../machines/trace-context.ts";
import type { CallerOptions, Run } from "../run.ts";
import type { Core } from "./core.ts";
import type { ServedAgent } from "./options.ts";
import { isRefusal, refuse, type Refusal } from "./refusal.ts";

/** What a run begins with. */
export interface BeginRequest extends CallerOptions {
  readonly task: string;
  readonly runId?: string | undefined;
  readonly messages?: EventData<"run_start">["messages"];
  readonly metadata?: EventData<"run_start">["metadata"];
}

/** Begins a run of the agent of this name (of the only one, without a name), where the caller may. It is stored when this resolves. */
export async function beginRun(
  core: Core,
  request: Request,
  name: string | undefined,
  { task, runId, messages, metadata, traceparent, tracestate }: BeginRequest,
): Promise<{ readonly run: Run; readonly agent: ServedAgent } | Refusal> {
  const agent = agentOf(core, name);
  const caller = await core.authorize(request, "create", { runId, agent: isRefusal(agent) ? name : agent.name });
  if (isRefusal(caller)) return caller;
  if (isRefusal(agent)) return agent;
  // An id is one run over all agents.
  if (runId !== undefined && (await core.runs.find(runId)) !== undefined) return runExists(runId);
  const full = core.crowded();
  if (full !== undefined) return full;
  const context = core.contextOf(request, agent.name, runId);
  const run = agent.run(task, {
    ...(runId === undefined ? {} : { runId }),
    ...(messages === undefined ? {} : { messages }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(context === undefined ? {} : { context }),
    // One that cannot be read is as if there were none.
    ...(traceparent === undefined ? callerIn(request) : traceHeaders(traceparent, tracestate)),
  });
  core.working.track(run);
  return (await stored(run)) ?? { run, agent };
}

export function callerIn({ headers }: Request): TraceHeaders | undefined {
  return traceHeaders(headers.get("traceparent"), headers.get("tracestate"));
}

/** Waits until the log holds the run: nobody is told of one that a crash would take back (P2). */
async function stored(run: Run): Promise<Refusal | undefined> {
  for await (const event of run.events()) if (event.seq >= 1) return undefined;
  const { error } = await run.settled();
  if (error?.code === "run_exists") return runExists(run.id);
  return refuse(503, "log", "The log cannot be used now. The run was not begun.");
}

function runExists(runId: string): Refusal {
  return refuse(409, "run_exists", `There is a run "${runId}" already. Leave the id out for a new one.`);
}

function agentOf(core: Core, name: string | undefined): ServedAgent | Refusal {
  const { agents } = core.settings;
  const [only] = agents;
  if (name === undefined && only !== undefined && agents.length === 1) return only;
  const named = agents.find((agent) => agent.name === name);
  if (named !== undefined) return named;
  const names = agents.map((agent) => `"${agent.name}"`).join(", ");
  return refuse(400, "invalid_request", `agent: name one of ${names}.`);
}
