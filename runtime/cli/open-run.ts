import type { Agent } from "../agent.ts";
import type { EventLog } from "../log/event-log.ts";
import type { Run } from "../run.ts";
import { EXIT } from "./exit-code.ts";
import { findRun, needLog, shortId } from "./find-run.ts";
import type { Io } from "./io.ts";
import { refusalOf } from "./refusal.ts";
import { oneLine } from "./sanitizer.ts";

export interface OpenedRun {
  readonly agent: Agent;
  readonly log: EventLog;
  readonly run: Run;
  /** A process that lives had it when it was opened. */
  readonly owned: boolean;
}

export interface OpenedAgent {
  readonly agent: Agent;
  readonly log: EventLog;
  readonly runId: string;
}

/** The agent over the log, for the run that a word means; or the exit code, after a sentence. Whoever gets it closes it. */
export async function openAgent(io: Io, word: string): Promise<OpenedAgent | number> {
  const log = needLog(io);
  const runId = await findRun(io, log, word);
  const agent = await io.openAgent(log, runId);
  if (typeof agent !== "string") return { agent, log, runId };
  await io.err.write(`rubato: ${oneLine(agent, 1_000)}\n`);
  return EXIT.usage;
}

export async function openRun(io: Io, word: string): Promise<OpenedRun | number> {
  const opened = await openAgent(io, word);
  if (typeof opened === "number") return opened;
  const { agent, log, runId } = opened;
  try {
    const { owned } = await log.head(runId);
    return { agent, log, run: await agent.open(runId), owned };
  } catch (error) {
    await agent.close();
    throw error;
  }
}

/** Says in words why a command was not accepted. */
export async function refused(
  io: Io,
  refusal: { readonly reason: string; readonly message?: string },
  run?: Pick<Run, "id">,
  /** What this command says differently. */
  own: Readonly<Record<string, string>> = {},
): Promise<number> {
  const { reason, message } = refusal;
  const name = run === undefined ? "" : `Run ${shortId(run.id)}: `;
  // The option of the API has another name here.
  const sentence = message?.replace("allowChanged", "--allow-changed") ?? `${own[reason] ?? refusalOf(reason)}.`;
  await io.err.write(`rubato: ${oneLine(`${name}${sentence}`, 1_000)}\n`);
  return EXIT.failed;
}
