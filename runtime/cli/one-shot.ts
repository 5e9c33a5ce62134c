import { isTerminal, type Event } from "../../machines/events.ts";
import type { Agent } from "../agent.ts";
import type { Outcome } from "../outcome.ts";
import type { Run } from "../run.ts";
import { describeCall, describeOutcome } from "./describe-call.ts";
import { describeInterrupted, describeLimit } from "./describe-interrupt.ts";
import { EXIT } from "./exit-code.ts";
import { createSanitizer, oneLine, safeJson } from "./sanitizer.ts";
import { NO_TURN, trace } from "./turn-trace.ts";
import type { Writer } from "./writer.ts";

/** Where one task writes to and what may stop it. */
export interface OneShot {
  readonly agent: Agent;
  readonly task: string;
  readonly json: boolean;
  /** The answer, or the events. */
  readonly out: Writer;
  /** Everything else. */
  readonly err: Writer;
  /** Calls back at the first signal with its exit code; answers its undo. */
  readonly onSignal: (stop: (exitCode: number) => void) => () => void;
  /** Calls back when nobody reads the answer any more. */
  readonly onUnread: (stop: () => void) => void;
}

/** Does one task and answers the exit code. Closes the agent. */
export async function runTask(shot: OneShot): Promise<number> {
  const { agent, task, out, err } = shot;
  const run = agent.run(task);
  let stopCode: number | undefined;
  const stops: Promise<unknown>[] = [];
  const stop = (code: number, reason: string): void => {
    stopCode ??= code;
    stops.push(run.interrupt(reason, { mode: "now" }));
  };
  const undo = shot.onSignal((code) => {
    stop(code, code === EXIT.interrupted ? "Ctrl-C" : "terminated");
  });
  shot.onUnread(() => {
    stop(EXIT.brokenPipe, "nobody reads the answer");
  });
  try {
    await (shot.json ? printEvents(run, out) : printAnswer(run, out, err));
    await Promise.all(stops);
    const outcome = await run.settled();
    if (outcome.status === "failed") await err.write(`${failureOf(outcome)}\n`);
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

async function printEvents(run: Run, out: Writer): Promise<void> {
  for await (const event of run) await out.write(`${safeJson(event)}\n`);
}

/** Reads at the pace of stdout: what a slow pipe does not take stays in the log. */
async function printAnswer(run: Run, out: Writer, err: Writer): Promise<void> {
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
        names.set(event.data.callId, event.data.name);
        await note(`· ${describeCall(event.data.name, event.data.args)}`);
        return;
      case "tool_result": {
        const { callId, outcome, output, error } = event.data;
        await note(`  ${oneLine(names.get(callId) ?? callId, 64)} → ${describeOutcome(outcome, output, error)}`);
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

  for await (const event of run) {
    turn = trace(turn, event);
    await show(event);
  }
}
