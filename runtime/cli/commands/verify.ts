import { messageOf, RubatoError } from "../../errors.ts";
import type { EventLog } from "../../log/event-log.ts";
import { verify, type Verification } from "../../verify.ts";
import { EXIT } from "../exit-code.ts";
import { findRun, needLog } from "../find-run.ts";
import type { Io } from "../io.ts";
import { onlyRun, type LogCommand } from "../log-command.ts";
import { createProgress } from "../progress.ts";
import { oneLine, safeJson } from "../sanitizer.ts";

export const verifyCommand: LogCommand = {
  name: "verify",
  usage: "verify RUN | --all [--json]",
  says: "checks checksums, order and states, and names the first bad seq",
  options: ["all", "json"],
  read(line) {
    const { all = false, json = false } = line.values;
    if (all) return line.words.length > 0 ? "--all and a run exclude each other." : (io) => verifyAll(io, json);
    const named = onlyRun(line, "verify");
    return typeof named === "string"
      ? `${named} All of them: rubato verify --all.`
      : (io) => verifyOne(io, named.run, json);
  },
};

async function verifyOne(io: Io, word: string, json: boolean): Promise<number> {
  const log = needLog(io);
  const runId = await findRun(io, log, word);
  const found = await verify(log, runId);
  await report(io, runId, found, json);
  return found.ok ? EXIT.done : EXIT.failed;
}

async function verifyAll(io: Io, json: boolean): Promise<number> {
  const log = io.openLog();
  const all = log === undefined ? [] : await log.list();
  if (log === undefined || all.length === 0) {
    await io.err.write(`There are no runs in "${io.place}".\n`);
    return EXIT.done;
  }
  const progress = createProgress(io, "verifying", all.length);
  let bad = 0;
  for (const [index, { runId }] of all.entries()) {
    await progress.show(index);
    const found = await judged(log, runId);
    if (!found.ok) bad++;
    await progress.end();
    await report(io, runId, found, json);
    if (io.out.closed) return EXIT.brokenPipe;
  }
  if (!json) await io.err.write(`${all.length} runs, ${bad === 0 ? "all ok" : `${bad} with a problem`}.\n`);
  return bad === 0 ? EXIT.done : EXIT.failed;
}

/** One run that cannot be judged must not keep the others from being looked at. */
async function judged(log: EventLog, runId: string): Promise<Verification> {
  try {
    return await verify(log, runId);
  } catch (error) {
    if (!(error instanceof RubatoError)) throw error;
    return { ok: false, seq: 0, problem: messageOf(error) };
  }
}

async function report(io: Io, runId: string, found: Verification, json: boolean): Promise<void> {
  if (json) await io.out.write(`${safeJson({ runId, ...found })}\n`);
  else if (found.ok) await io.out.write(`${runId}: ok, ${found.events} events, seq 1 to ${found.seq}\n`);
  else await io.out.write(`${io.theme.error(`${runId}: seq ${found.seq}: ${oneLine(found.problem, 400)}`)}\n`);
}
