import { withoutCaller } from "../machines/caller.ts";
import type { CallResult } from "../machines/command.ts";
import { isTerminal, type Event, type EventOf } from "../machines/events.ts";
import { initialState } from "../machines/state.ts";
import { toJson } from "./arguments.ts";
import { checkOption } from "./checks.ts";
import { messageOf, RubatoError } from "./errors.ts";
import { foldLogged } from "./fold.ts";
import { isRunId, type EventLog } from "./log/event-log.ts";
import { logPages, unknownRun } from "./log-pages.ts";
import { prunedAt } from "./state-at.ts";

export interface ForkOptions {
  /** The last seq that the copy has, from 1. May lie within an answer, between two of its tokens. */
  readonly at: number;
  /** What calls answer in the copy instead of what they answered, by `callId`. */
  readonly results?: Readonly<Record<string, CallResult>>;
}

/** The copy, as its owner has it: what is appended next is seq + 1, under this epoch. */
export interface ForkedLog {
  readonly runId: string;
  readonly epoch: number;
  readonly seq: number;
}

/**
 * Copies the first events of a run into a new one, which the caller then owns. Seqs and timestamps stay, `run_start` says where it came from.
 * Records nothing after the prefix, and does not bring the copy to rest: whoever goes on with it does.
 *
 * F1 The copy folds: every event is stepped before it is appended. F2 The original is only read. F3 A copy that fails midway is deleted.
 * F4 The copy's epoch is higher than every epoch that its prefix names (I2).
 *
 * Throws {@link RubatoError}: `unknown_run`, `newer_schema`, `run_exists`; `invalid_option` with what to do instead for an `at` that is not in the
 * run or in a range that was pruned, and for a result that cannot be edited; `log` for a log that cannot be read, folded or written.
 */
export async function forkLog(
  log: EventLog,
  fromRunId: string,
  newRunId: string,
  options: ForkOptions,
): Promise<ForkedLog> {
  const { at, results = {} } = options;
  const edits = new Map(Object.entries(results));
  checkOption(
    "runId",
    newRunId,
    isRunId(newRunId),
    "1 to 128 characters of A-Z a-z 0-9 . _ -, not beginning with a dot",
  );
  const head = await log.head(fromRunId);
  if (head.seq === 0) throw unknownRun(fromRunId);
  checkOption(
    "at",
    at,
    Number.isInteger(at) && at >= 1 && at <= head.seq,
    `a seq from 1 to ${head.seq}, the run's last`,
  );
  const { epoch } = await survey(log, fromRunId, at, edits);
  if ((await log.head(newRunId)).seq > 0) throw runExists(newRunId);
  let created = false;
  let state = initialState();
  try {
    for await (const page of logPages(log, fromRunId, { until: at })) {
      const events = page.map((event) => copyOf(event, newRunId, { runId: fromRunId, seq: at }, edits));
      for (const event of events) state = foldLogged(state, event);
      await log.append(newRunId, { epoch, events });
      created = true;
    }
  } catch (error) {
    if (created) await removed(log, newRunId, error);
    throw error;
  }
  return { runId: newRunId, epoch, seq: at };
}

/** Reads the prefix once before anything is written: what cannot be done is refused, and leaves nothing. */
async function survey(
  log: EventLog,
  runId: string,
  at: number,
  edits: ReadonlyMap<string, CallResult>,
): Promise<{ readonly epoch: number }> {
  let epoch = 1;
  let seq = 0;
  const found = new Set<string>();
  for await (const page of logPages(log, runId, { until: at })) {
    for (const event of page) {
      seq = event.seq;
      if (event.type === "owner") epoch = Math.max(epoch, event.data.epoch);
      if (event.type === "tool_result" && edits.has(event.data.callId)) checkEditable(event, found);
      if (found.size > 0 && isTerminal(event)) {
        throw cannotEdit(
          [...found][0] ?? "",
          `the turn came to rest after it ("${event.type}", seq ${event.seq}): fork before the turn ended`,
        );
      }
    }
  }
  if (seq < at) throw await prunedAt(log, runId, at, seq);
  for (const callId of edits.keys()) {
    if (!found.has(callId)) throw cannotEdit(callId, `it has no result up to seq ${at}`);
  }
  return { epoch: epoch + 1 };
}

/** A late result counts for nothing; it is there beside the one that counts, or that one is missing. */
function checkEditable({ data, seq }: EventOf<"tool_result">, found: Set<string>): void {
  const { callId, from, late } = data;
  if (late === true) throw cannotEdit(callId, `its result at seq ${seq} came late and counted for nothing`);
  if (from !== "running" && from !== "orphaned")
    throw cannotEdit(callId, `it never ran (seq ${seq}: "${data.outcome}")`);
  found.add(callId);
}

function copyOf(
  event: Event,
  runId: string,
  fork: { readonly runId: string; readonly seq: number },
  edits: ReadonlyMap<string, CallResult>,
): Event {
  switch (event.type) {
    case "run_start": {
      const edited = [...edits.keys()];
      const start = withoutCaller(event.data);
      return {
        ...event,
        runId,
        data: { ...start, fork: { ...fork, ...(edited.length === 0 ? {} : { edited }) } },
      };
    }
    case "tool_result": {
      const edit = edits.get(event.data.callId);
      return edit === undefined ? { ...event, runId } : { ...event, runId, data: editedResult(event, edit) };
    }
    // Whose request began the other run, or went on with it, had nothing to do with this one.
    case "user_input":
      return { ...event, runId, data: withoutCaller(event.data) };
    case "owner":
      return { ...event, runId, data: withoutCaller(event.data) };
    case "resume":
      return { ...event, runId, data: withoutCaller(event.data) };
    case "approval":
      return { ...event, runId, data: withoutCaller(event.data) };
    default:
      return { ...event, runId };
  }
}

function editedResult({ data }: EventOf<"tool_result">, edit: CallResult): EventOf<"tool_result">["data"] {
  const { callId, attempt, from } = data;
  if ("error" in edit) {
    const { code, message } = edit.error;
    return { callId, attempt, from, outcome: "error", error: { code, message } };
  }
  try {
    return { callId, attempt, from, outcome: "ok", output: toJson(edit.output) };
  } catch (error) {
    throw cannotEdit(callId, `what it should answer is not JSON: ${messageOf(error)}`);
  }
}

/** The half copy goes; where that fails too, both are told. */
async function removed(log: EventLog, runId: string, error: unknown): Promise<void> {
  try {
    await log.delete(runId);
  } catch (second) {
    throw new RubatoError(
      "log",
      `The fork failed (${messageOf(error)}), and its half copy "${runId}" could not be deleted (${messageOf(second)}).`,
      { cause: error },
    );
  }
}

function cannotEdit(callId: string, why: string): RubatoError {
  return new RubatoError("invalid_option", `The result of call "${callId}" cannot be edited: ${why}.`);
}

function runExists(runId: string): RubatoError {
  return new RubatoError("run_exists", `A run "${runId}" exists already. Choose another runId.`);
}
