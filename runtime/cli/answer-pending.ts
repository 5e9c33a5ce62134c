import type { ToolCallState } from "../../machines/state.ts";
import type { ApproveOptions, Receipt, Run } from "../run.ts";
import { isQuestion, pendingLine } from "./answer.ts";
import { EXIT } from "./exit-code.ts";
import { shortId } from "./find-run.ts";
import type { Io } from "./io.ts";
import { showRun } from "./one-shot.ts";
import { openRun, refused } from "./open-run.ts";
import { oneLine } from "./sanitizer.ts";

export type PendingAnswer =
  | { readonly verb: "approve"; readonly options: ApproveOptions }
  | { readonly verb: "reject"; readonly reason: string };

/** Answers a call that waits. Where no process has its run, this one goes on with it and shows it. */
export async function answerPending(
  io: Io,
  word: string,
  callId: string | undefined,
  json: boolean,
  answer: PendingAnswer,
): Promise<number> {
  const opened = await openRun(io, word);
  if (typeof opened === "number") return opened;
  const { agent, run, owned } = opened;
  try {
    const call = await chosen(io, run, callId, answer.verb);
    if (typeof call === "number") return call;
    const { seq } = run.state;
    const receipt = await give(run, call, answer);
    if (!receipt.accepted) return await refused(io, receipt, run);
    await io.err.write(`${answer.verb === "approve" ? "approved" : "rejected"}: ${pendingLine(call)}\n`);
    if (owned) {
      await io.out.write(`recorded at seq ${receipt.seq}\n`);
      return EXIT.done;
    }
    const { out, err, onSignal, onUnread, goOn, askLine } = io;
    return await showRun(run, seq, { agent, json, out, err, onSignal, onUnread, goOn, askLine });
  } finally {
    await agent.close();
  }
}

function give(run: Run, { callId, approval }: ToolCallState, answer: PendingAnswer): Promise<Receipt> {
  if (answer.verb === "reject") return run.reject(callId, answer.reason);
  // Of the arguments that this process read: nobody else's edit is approved unseen.
  const bound = approval === undefined ? {} : { argsHash: approval.argsHash };
  return run.approve(callId, { ...answer.options, ...bound });
}

/** The call that is meant; or the exit code, after a sentence and the calls that wait. */
async function chosen(
  io: Io,
  run: Run,
  callId: string | undefined,
  verb: "approve" | "reject",
): Promise<ToolCallState | number> {
  const { pendingApprovals: pending } = run.state;
  const call = callId === undefined ? pending[0] : pending.find((one) => one.callId === callId);
  if (call !== undefined && (callId !== undefined || pending.length === 1)) return call;
  const name = shortId(run.id);
  if (pending.length === 0) {
    await io.err.write(`rubato: Run ${name}: no call waits for an approval.\n`);
    return EXIT.failed;
  }
  const which = callId === undefined ? "several calls wait, name one" : `call ${oneLine(callId, 40)} does not wait`;
  const lines = pending.map(
    (one) => `  ${pendingLine(one)}\n    ${io.goOn} ${verb} ${name} ${one.callId}${words(verb, one)}\n`,
  );
  await io.err.write(`rubato: Run ${name}: ${which}:\n${lines.join("")}`);
  return callId === undefined ? EXIT.usage : EXIT.failed;
}

function words(verb: string, { name }: ToolCallState): string {
  if (verb === "reject") return ' ["reason"]';
  return isQuestion(name) ? ' --answer "TEXT"' : "";
}
