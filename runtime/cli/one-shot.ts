import { isTerminal, type Event } from "../../machines/events.ts";
import type { Agent } from "../agent.ts";
import type { Outcome } from "../outcome.ts";
import type { Run } from "../run.ts";
import { describeCall, describeResult } from "./describe-call.ts";
import { describeInterrupted, describeLimit } from "./describe-interrupt.ts";
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
  const stop = (code: number, reason: string): void => {
    stopCode ??= code;
    stops.push(run.interrupt(reason, { mode: "now" }));
  };
  const undo = shot.onSignal((code) => {
    if (code === EXIT.interrupted) stop(code, "Ctrl-C");
    else {
      // Whoever ends the process does not ask the run anything: it rests, and somebody resumes it.
      stopCode ??= code;
      stops.push(agent.close());
    }
  });
  shot.onUnread(() => {
    stop(EXIT.brokenPipe, "nobody reads the answer");
  });
  try {
    // What came shortly before is not shown, but it says what the events after it are about.
    const events = run.events({ from: Math.max(0, from - BEFORE) });
    await (shot.json ? printEvents(events, from, out) : printAnswer(events, from, out, err));
    await Promise.all(stops);
    const outcome = await run.settled();
    if (outcome.status === "failed") await err.write(`${failureOf(outcome)}\n`);
    await err.write(goOnWith(run.id, outcome, shot, stopCode));
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
function goOnWith(runId: string, { status, error, pending = [] }: Outcome, shot: Shown, stopCode?: number): string {
  const { goOn } = shot;
  if (goOn === undefined || status === "done" || status === "cancelled" || stopCode === EXIT.brokenPipe) return "";
  // What never was stored cannot be gone on with.
  if (error?.code === "log" || error?.code === "run_exists") return "";
  const open = pending.map(
    ({ callId, name }) =>
      `rubato: call ${callId} of ${oneLine(name, 64)} has no known outcome: resuming tells the model so.\n`,
  );
  return `${open.join("")}rubato: to go on: ${goOn} resume ${shortId(runId)} ["instruction"]\n`;
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
    case "waiting":
      return stopCode ?? EXIT.interrupted;
  }
}

async function printEvents(events: AsyncIterable<Event>, from: number, out: Writer): Promise<void> {
  for await (const event of events) if (event.seq > from) await out.write(`${safeJson(event)}\n`);
}

/** Reads at the pace of stdout: what a slow pipe does not take stays in the log. */
async function printAnswer(events: AsyncIterable<Event>, from: number, out: Writer, err: Writer): Promise<void> {
  let turn = NO_TURN;
  let sanitizer = createSanitizer();
  let lineOpen = false;
  let limited = false;
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

  async function show(event: Event): Promise<void> {
    switch (event.type) {
      case "thinking":
        sanitizer = createSanitizer();
        return;
      case "token_stream":
        if (event.data.kind === "text") await say(sanitizer.write(event.data.text));
        return;
      case "message":
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
      case "retry":
        await note(`(asking again: ${oneLine(event.data.reason, 200)})`);
        return;
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

  for await (const event of events) {
    turn = trace(turn, event);
    if (event.type === "tool_call") names.set(event.data.callId, event.data.name);
    if (event.seq > from) await show(event);
  }
}
