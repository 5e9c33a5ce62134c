import { isTerminal, type Event } from "../../machines/events.ts";
import type { ToolCallState } from "../../machines/state.ts";
import type { Agent } from "../agent.ts";
import type { Outcome } from "../outcome.ts";
import type { Run } from "../run.ts";
import { isQuestion, pendingLines } from "./answer.ts";
import { askAll } from "./ask-all.ts";
import type { AskLine } from "./ask-line.ts";
import { otherModel } from "./begun-with.ts";
import { raiseOf } from "./budget.ts";
import { describeApproval } from "./describe-approval.ts";
import { describeDuration } from "./describe-duration.ts";
import { describeCall, describeResult } from "./describe-call.ts";
import { describeInterrupted } from "./describe-interrupt.ts";
import { describeLimit } from "./describe-limit.ts";
import { EXIT } from "./exit-code.ts";
import { shortId } from "./find-run.ts";
import { createSanitizer, oneLine, safeJson } from "./sanitizer.ts";
import { NO_TURN, trace } from "./turn-trace.ts";
import type { Writer } from "./writer.ts";

/** Where a run that is watched writes to, and what may stop it. */
export interface Shown {
  readonly agent: Agent;
  readonly json: boolean;
  /** The answer, or the events. */
  readonly out: Writer;
  /** Everything else. */
  readonly err: Writer;
  /** Calls back at the first signal with its exit code; answers its undo. */
  readonly onSignal: (stop: (exitCode: number) => void) => () => void;
  /** Calls back when nobody reads the answer any more. */
  readonly onUnread: (stop: () => void) => void;
  /** How this program was called, where the run is kept and can be gone on with. */
  readonly goOn: string | undefined;
  /** Asks whoever is there about calls that wait; undefined where nobody is. */
  readonly askLine: AskLine | undefined;
}

export interface OneShot extends Shown {
  readonly task: string;
}

/** A step is rarely longer, in events. */
const BEFORE = 5_000;

/** Does one task and answers the exit code. Closes the agent. */
export async function runTask(shot: OneShot): Promise<number> {
  return showRun(shot.agent.run(shot.task), 0, shot);
}

/** Shows a run that this process has, from after a seq until it rests, and answers the exit code. Closes the agent. */
export async function showRun(run: Run, from: number, shot: Shown): Promise<number> {
  const { agent, out, err } = shot;
  let stopCode: number | undefined;
  const stops: Promise<unknown>[] = [];
  const leaving = new AbortController();
  const stop = (code: number, reason: string): void => {
    stopCode ??= code;
    leaving.abort();
    stops.push(run.interrupt(reason, { mode: "now" }));
  };
  const undo = shot.onSignal((code) => {
    if (code === EXIT.interrupted) stop(code, "Ctrl-C");
    else {
      // Whoever ends the process does not ask the run anything: it rests, and somebody resumes it.
      stopCode ??= code;
      leaving.abort();
      stops.push(agent.close());
    }
  });
  shot.onUnread(() => {
    stop(EXIT.brokenPipe, "nobody reads the answer");
  });
  let told = from === 0;
  const tellModel = async (model: string): Promise<void> => {
    if (told) return;
    told = true;
    const other = otherModel(run.state.core.start?.model ?? model, [model]);
    if (other !== undefined) await err.write(`${other}\n`);
  };
  try {
    const printer = shot.json ? eventPrinter(out) : answerPrinter(out, err);
    for (let shown = from; ;) {
      // What came shortly before is not shown, but it says what the events after it are about.
      const events = run.events({ from: shown === from ? Math.max(0, from - BEFORE) : shown });
      for await (const event of events) {
        if (event.type === "thinking" && event.seq > from) await tellModel(event.data.model);
        await printer(event, event.seq > from);
        shown = Math.max(shown, event.seq);
      }
      await Promise.all(stops);
      if (run.state.status !== "waiting" || stopCode !== undefined || shot.askLine === undefined) break;
      const answered = await askAll(run, shot.askLine, err, leaving.signal);
      if (!answered && stopCode === undefined) stop(EXIT.interrupted, "Ctrl-C");
      await Promise.all(stops);
    }
    const outcome = await run.settled();
    if (outcome.status === "failed") await err.write(`${failureOf(outcome)}\n`);
    await err.write(goOnWith(run, outcome, shot, stopCode));
    return exitCodeOf(outcome, stopCode);
  } finally {
    undo();
    await agent.close();
    await out.flush();
    await err.flush();
  }
}

/** One sentence about a run that failed. */
export function failureOf({ error }: Outcome): string {
  return `rubato: ${error === undefined ? "the run failed" : oneLine(error.message, 1_000)}`;
}

/** What to type to go on, where that is possible and somebody reads it. */
function goOnWith(run: Run, { status, error, pending = [] }: Outcome, shot: Shown, stopCode?: number): string {
  const { goOn } = shot;
  if (status === "done" || status === "cancelled" || stopCode === EXIT.brokenPipe) return "";
  if (status === "waiting") return answerWith(run.id, pending, goOn);
  if (goOn === undefined) return "";
  // What never was stored cannot be gone on with.
  if (error?.code === "log" || error?.code === "run_exists") return "";
  const open = pending.map(
    ({ callId, name }) =>
      `rubato: call ${callId} of ${oneLine(name, 64)} has no known outcome: resuming tells the model so.\n`,
  );
  const { limit } = run.state;
  const more = limit === undefined ? undefined : raiseOf(limit);
  const budget = more === undefined ? "" : ` --budget ${more}`;
  return `${open.join("")}rubato: to go on: ${goOn} resume ${shortId(run.id)}${budget} ["instruction"]\n`;
}

/** How whoever reads it answers what waits, from wherever they are. */
export function answerWith(runId: string, pending: readonly ToolCallState[], goOn: string | undefined): string {
  const lines = pending.flatMap((call) => {
    const [head, ...rest] = pendingLines(call);
    return [
      `? ${head}`,
      ...rest.map((line) => `  ${line}`),
      ...(goOn === undefined ? [] : answersOf(runId, call, goOn)),
    ];
  });
  if (goOn === undefined) {
    lines.push("rubato: it waits for a person, and without a log nobody can answer: use a log, a terminal, or --yes.");
  }
  return lines.map((line) => `${line}\n`).join("");
}

function answersOf(runId: string, { callId, name }: ToolCallState, goOn: string): string[] {
  const call = `${shortId(runId)} ${callId}`;
  const words = isQuestion(name) ? ' --answer "TEXT"' : "";
  return [
    `rubato: to ${isQuestion(name) ? "answer it" : "allow it"}: ${goOn} approve ${call}${words}`,
    `rubato: to refuse it: ${goOn} reject ${call} ["reason"]`,
  ];
}

function exitCodeOf({ status }: Outcome, stopCode: number | undefined): number {
  // Whoever stopped it gets the answer to that, also where the end came first: `done` then needs no excuse.
  switch (status) {
    case "done":
      return stopCode === EXIT.brokenPipe ? stopCode : EXIT.done;
    case "failed":
    case "cancelled":
      return EXIT.failed;
    case "interrupted":
      return stopCode ?? EXIT.interrupted;
    case "waiting":
      return stopCode ?? EXIT.waiting;
  }
}

/** Takes every event in order; those that are new are shown. */
type Printer = (event: Event, fresh: boolean) => Promise<void>;

function eventPrinter(out: Writer): Printer {
  return async (event, fresh) => {
    if (fresh) await out.write(`${safeJson(event)}\n`);
  };
}

/** Writes at the pace of stdout: what a slow pipe does not take stays in the log. */
function answerPrinter(out: Writer, err: Writer): Printer {
  let turn = NO_TURN;
  let sanitizer = createSanitizer();
  let lineOpen = false;
  let limited = false;
  let model = "";
  /** Why another model is asked. */
  let fallback: string | undefined;
  /** The open message has begun. */
  let said = false;
  const names = new Map<string, string>();

  async function say(text: string): Promise<void> {
    if (text === "") return;
    lineOpen = !text.endsWith("\n");
    await out.write(text);
  }
  async function endLine(): Promise<void> {
    await say(sanitizer.end());
    if (lineOpen) await say("\n");
  }
  async function note(text: string): Promise<void> {
    await endLine();
    await err.write(`${text}\n`);
  }

  async function breakOff(): Promise<void> {
    if (said) await note("(the answer broke off and begins again)");
    said = false;
  }

  async function show(event: Event): Promise<void> {
    switch (event.type) {
      case "thinking":
        await breakOff();
        if (fallback !== undefined) await note(`(${fallback}: ${oneLine(event.data.model, 60)} is asked instead)`);
        fallback = undefined;
        model = event.data.model;
        sanitizer = createSanitizer();
        return;
      case "token_stream":
        if (event.data.kind !== "text") return;
        said = true;
        await say(sanitizer.write(event.data.text));
        return;
      case "message":
        said = false;
        await endLine();
        if (event.data.finish === "length") await note("(the answer was cut: the endpoint's token limit was reached)");
        return;
      case "tool_call":
        await note(`· ${describeCall(event.data.name, event.data.args)}`);
        return;
      case "tool_result": {
        const { callId } = event.data;
        await note(`  ${oneLine(names.get(callId) ?? callId, 64)} → ${describeResult(event.data)}`);
        return;
      }
      case "approval":
        await note(describeApproval(event.data, names.get(event.data.callId) ?? event.data.callId));
        return;
      case "retry": {
        const why = oneLine(event.data.reason, 200);
        await breakOff();
        if (event.data.fallback !== undefined) fallback = `model ${oneLine(model, 60)} failed (${why})`;
        else await note(`(asked again in ${describeDuration(event.data.delayMs)}: ${why})`);
        return;
      }
      case "limit":
        limited = true;
        await note(`rubato: ${describeLimit(event.data)}`);
        return;
      case "interrupted":
        if (!limited && !out.closed) await note(`rubato: ${describeInterrupted(event.data, turn)}`);
        return;
      default:
        if (isTerminal(event)) await endLine();
    }
  }

  return async (event, fresh) => {
    turn = trace(turn, event);
    if (event.type === "tool_call") names.set(event.data.callId, event.data.name);
    if (fresh) await show(event);
  };
}
