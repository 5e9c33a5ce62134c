import { messageOf } from "../../errors.ts";
import type { RunSummary } from "../../log/event-log.ts";
import { durationOf } from "../duration.ts";
import { EXIT } from "../exit-code.ts";
import { findRun, needLog, shortId } from "../find-run.ts";
import { isLeftBehind } from "../run-status.ts";
import { age } from "../format-runs.ts";
import type { Io, Job } from "../io.ts";
import { createProgress } from "../progress.ts";
import { oneLine } from "../sanitizer.ts";
import type { Values } from "../values.ts";

export function readPrune(words: readonly string[], values: Values): Job | string {
  const [run, more] = words;
  if (more !== undefined) return `"runs prune" takes one run, got ${JSON.stringify(more)} behind it.`;
  if (values.status !== undefined || values.json === true) return '"runs prune" knows --older-than and --yes only.';
  const text = values["older-than"];
  const olderThan = text === undefined ? undefined : durationOf(text);
  if (text !== undefined && olderThan === undefined) {
    return `--older-than must be a number and s, m, h or d, such as 7d; got ${JSON.stringify(text)}.`;
  }
  return (io) => prune(io, { run, olderThan, yes: values.yes === true });
}

interface Wanted {
  readonly run: string | undefined;
  readonly olderThan: number | undefined;
  readonly yes: boolean;
}

async function prune(io: Io, { run, olderThan, yes }: Wanted): Promise<number> {
  const log = needLog(io);
  const runId = run === undefined ? undefined : await findRun(io, log, run);
  const listed = (await log.list()).filter((summary) => runId === undefined || summary.runId === runId);
  const sound = listed.filter(({ problem }) => problem === undefined);
  const free = sound.filter(({ owned }) => !owned);
  const left = leftOut(listed.length - sound.length, sound.length - free.length);
  const now = io.now();
  // One that was left behind in its work is not at rest by anybody's will: it can be resumed, so it is not thrown away.
  const old = (summary: RunSummary): boolean =>
    olderThan !== undefined && !isLeftBehind(summary) && now - summary.updatedAt >= olderThan;
  const chosen = olderThan === undefined ? free : free.filter(old);
  if (chosen.length === 0) {
    await io.err.write(`Nothing to do${olderThan === undefined ? "" : ": no run at rest is that old"}.${left}\n`);
    return EXIT.done;
  }
  const plan = olderThan === undefined ? planOfPruning(chosen) : planOfDeleting(chosen, olderThan);
  await io.err.write(`${plan}${left}\n`);
  if (!yes && !io.keyboard) {
    await io.err.write("rubato: Nobody is here to ask: say --yes to do it.\n");
    return EXIT.usage;
  }
  if (!yes && !(await io.confirm("Go on?"))) {
    await io.err.write("Nothing was done.\n");
    return EXIT.done;
  }
  const progress = createProgress(io, olderThan === undefined ? "pruning" : "deleting", chosen.length);
  let count = 0;
  let failed = 0;
  for (const [index, summary] of chosen.entries()) {
    await progress.show(index);
    try {
      if (olderThan === undefined) count += await log.prune(summary.runId);
      else if (await log.delete(summary.runId)) count++;
    } catch (error) {
      failed++;
      await progress.end();
      await io.err.write(`rubato: ${oneLine(messageOf(error), 1_000)}\n`);
    }
  }
  await progress.end();
  await io.out.write(
    `${olderThan === undefined ? `${figure(count, "delta")} dropped` : `${figure(count, "run")} deleted`}.\n`,
  );
  return failed === 0 ? EXIT.done : EXIT.failed;
}

function planOfPruning(runs: readonly RunSummary[]): string {
  const [only] = runs;
  const name = runs.length === 1 && only !== undefined ? `run ${shortId(only.runId)}` : `${runs.length} runs`;
  return `Drops the deltas of finished messages in ${name}: what was said stays, how it streamed is forgotten.`;
}

function planOfDeleting(runs: readonly RunSummary[], olderThan: number): string {
  const names = runs.slice(0, 5).map(({ runId, title }) => `${shortId(runId)} (${oneLine(title, 40)})`);
  const more = runs.length > 5 ? `, and ${runs.length - 5} more` : "";
  return `Deletes ${figure(runs.length, "run")} at rest for ${age(olderThan)} or longer, for good: ${names.join(", ")}${more}.`;
}

function leftOut(damaged: number, busy: number): string {
  const parts: string[] = [];
  if (busy > 0) parts.push(`${figure(busy, "run")} in use`);
  if (damaged > 0) parts.push(figure(damaged, "damaged run"));
  return parts.length === 0 ? "" : ` Left as they are: ${parts.join(", ")}.`;
}

function figure(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
