import { lineDiff } from "../../machines/line-diff.ts";
import type { Json } from "../../machines/events.ts";
import type { ToolCallState } from "../../machines/state.ts";
import type { ApproveOptions, Receipt, Run } from "../run.ts";
import { isQuestion, pendingLines, questionOf, readAnswer, readArgs, wordsOf } from "./answer.ts";
import type { AskLine } from "./ask-line.ts";
import { exposedJson } from "./exposed.ts";
import { refusalOf } from "./refusal.ts";
import { oneLine } from "./sanitizer.ts";
import type { Writer } from "./writer.ts";

/**
 * Asks about every call that waits, one after the other, line by line. A call that is answered elsewhere meanwhile is asked about no more. False
 * when the person leaves instead, or the signal aborts.
 */
export async function askAll(run: Run, askLine: AskLine, err: Writer, signal: AbortSignal): Promise<boolean> {
  const asked = new Set<string>();
  for (;;) {
    const call = run.state.pendingApprovals.find(({ callId }) => !asked.has(callId));
    if (call === undefined) return true;
    asked.add(call.callId);
    const over = new AbortController();
    const abort = (): void => {
      over.abort();
    };
    // Whatever ends its wait: an answer from elsewhere, an interrupt, the clock.
    const undo = run.subscribe("*", () => {
      if (!isPending(run, call)) abort();
    });
    signal.addEventListener("abort", abort);
    if (signal.aborted) abort();
    try {
      const answered = await askOne(run, call, askLine, err, over.signal);
      if (!answered && (signal.aborted || isPending(run, call))) return false;
    } finally {
      undo();
      signal.removeEventListener("abort", abort);
    }
  }
}

function isPending(run: Run, { callId }: ToolCallState): boolean {
  return run.state.pendingApprovals.some((call) => call.callId === callId);
}

/** False when the question ended without an answer. */
async function askOne(
  run: Run,
  call: ToolCallState,
  askLine: AskLine,
  err: Writer,
  signal: AbortSignal,
): Promise<boolean> {
  const { callId, name, approval } = call;
  const [head, ...rest] = pendingLines(call);
  const asks = isQuestion(name);
  await err.write([`? ${asks ? head : `${head} wants to run`}`, ...rest.map((line) => `  ${line}`), ""].join("\n"));
  let args: Json | undefined;
  for (;;) {
    const typed = await askLine(asks ? "> " : "y(es), n(o) [reason], e(dit), a(lways in this run) > ", {
      signal,
    });
    if (typed === undefined) return false;
    if (typed.trim() === "") continue;
    const answer = asks ? undefined : readAnswer(typed);
    if (answer?.type === "none") {
      await err.write("That is no answer.\n");
      continue;
    }
    if (answer?.type === "reject") return told(await run.reject(callId, answer.reason), err);
    if (answer?.type === "edit") {
      const edited = await askLine("arguments > ", { signal, prefill: exposedJson(args ?? call.args ?? {}) });
      if (edited === undefined) return false;
      const read = readArgs(edited);
      if ("problem" in read) await err.write(`${read.problem}\n`);
      else {
        args = read.args;
        await err.write(diffOf(call.args ?? null, args));
      }
      continue;
    }
    const options: ApproveOptions = {
      ...(approval === undefined ? {} : { argsHash: approval.argsHash }),
      ...(args === undefined ? {} : { args }),
      ...(asks ? { answer: wordsOf(typed, questionOf(call)) } : {}),
      ...(answer?.type === "approve" && answer.forRun ? { forRun: true } : {}),
    };
    const receipt = await run.approve(callId, options);
    if (receipt.accepted || receipt.reason !== "invalid_args") return told(receipt, err);
    await err.write(`It was not run. ${oneLine(receipt.message ?? "The arguments do not fit.", 600)}\n`);
    args = undefined;
  }
}

async function told(receipt: Receipt, err: Writer): Promise<boolean> {
  if (!receipt.accepted) await err.write(`Not now: ${refusalOf(receipt.reason)}.\n`);
  return true;
}

/** What an edit changes, line by line. */
export function diffOf(before: Json, after: Json): string {
  const marks = { same: " ", removed: "-", added: "+" };
  return lineDiff(exposedJson(before, 2), exposedJson(after, 2))
    .map(({ kind, line }) => `${marks[kind]} ${line}\n`)
    .join("");
}
