import { traceHeaders, type TraceHeaders } from "../../machines/trace-context.ts";
import type { ServedRun } from "./served-runs.ts";
import type { Run } from "../run.ts";
import { commandSchema, type CommandReceipt } from "./protocol.ts";
import { issueOf, refuse, type Refusal } from "./refusal.ts";
import type { z } from "zod";

export type Command = z.output<typeof commandSchema>;

/** Verbs that may have a run work: what they begin counts against the limit. */
const BEGINS: ReadonlySet<string> = new Set(["send", "resume", "approve", "fork"]);

export function mayBegin({ verb }: Command): boolean {
  return BEGINS.has(verb);
}

const VERBS: readonly string[] = commandSchema.options.map((option) => option.shape.verb.value);

/** The command in what was sent, or why there is none. */
export function commandOf(value: unknown): Command | Refusal {
  const verb = typeof value === "object" && value !== null && "verb" in value ? value.verb : undefined;
  if (typeof verb !== "string" || !VERBS.includes(verb)) {
    return refuse(400, "unknown_command", `A command has one of these verbs: ${VERBS.join(", ")}.`);
  }
  const parsed = commandSchema.safeParse(value);
  if (!parsed.success) return refuse(400, "invalid_request", issueOf(parsed.error));
  const command = parsed.data;
  if (command.verb !== "settleCall" || (command.output === undefined) !== (command.error === undefined)) return command;
  return refuse(400, "invalid_request", 'settleCall needs one of "output" and "error".');
}

export interface Commander {
  /** Who asks, for the log. */
  readonly by: string | undefined;
  /** Whose trace it is, where the command itself says nothing. */
  readonly caller: TraceHeaders | undefined;
  /** For tools, should this process come to own the run. */
  readonly context: unknown;
  /** Told of the run that may work now. */
  readonly onRun: (run: Run) => void;
}

/** Does it. Throws {@link RubatoError} for what was asked wrongly. */
export async function perform(served: ServedRun, command: Command, commander: Commander): Promise<CommandReceipt> {
  const { agent, runId } = served;
  const { context, onRun } = commander;
  const caller = "traceparent" in command ? traceHeaders(command.traceparent, command.tracestate) : commander.caller;
  if (command.verb === "fork") {
    const { at, instruction, results, runId: forkId } = command;
    const more = { ...defined({ instruction, results, runId: forkId, context }), ...caller };
    const run = await agent.fork(runId, { at, ...more });
    onRun(run);
    return { accepted: true, seq: run.durableSeq, runId: run.id };
  }
  const by = commander.by ?? ("by" in command ? command.by : undefined);
  const who = defined({ by });
  if (command.verb === "resume") {
    const { instruction, partial, budget, takeover, allowChanged } = command;
    if (takeover === true) {
      const options = { takeover, ...defined({ allowChanged, partial, budget, context }), ...caller };
      const answer = await agent.resume(runId, instruction, options);
      if (!answer.accepted) return answer;
      onRun(answer.run);
      return { accepted: true, seq: answer.seq };
    }
    const run = await agent.open(runId, defined({ allowChanged, context }));
    return told(run, await run.resume(instruction, { ...defined({ partial, budget }), ...who, ...caller }), onRun);
  }
  const run = await agent.open(runId, defined({ context }));
  switch (command.verb) {
    case "send":
      return told(
        run,
        await run.send(command.text, { ...defined({ when: command.when, id: command.id }), ...caller }),
        onRun,
      );
    case "interrupt": {
      const { reason, mode, graceMs } = command;
      return run.interrupt(reason, { ...defined({ mode, graceMs }), ...who });
    }
    case "approve": {
      const { callId, args, answer, forRun, argsHash } = command;
      const options = { ...defined({ args, answer, forRun, argsHash }), ...who, ...caller };
      return told(run, await run.approve(callId, options), onRun);
    }
    case "reject":
      return told(run, await run.reject(command.callId, command.reason, { ...who, ...caller }), onRun);
    case "settleCall": {
      const { callId, output = null, error } = command;
      return run.settleCall(callId, error === undefined ? { output } : { error });
    }
    case "cancel": {
      const { reason, graceMs } = command;
      return run.cancel(reason, { ...defined({ graceMs }), ...who });
    }
  }
}

function told<Receipt extends { readonly accepted: boolean }>(
  run: Run,
  receipt: Receipt,
  onRun: (run: Run) => void,
): Receipt {
  if (receipt.accepted) onRun(run);
  return receipt;
}

type Defined<Fields> = { [Name in keyof Fields]?: Exclude<Fields[Name], undefined> };

/** Without the fields that were not given: an option that is undefined is an option all the same. */
function defined<Fields extends Readonly<Record<string, unknown>>>(fields: Fields): Defined<Fields>;
function defined(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
