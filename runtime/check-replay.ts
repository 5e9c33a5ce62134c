import type { EffectName } from "../machines/agent.ts";
import { respond } from "../machines/command.ts";
import { isTerminal, REDUCER_VERSION, SCHEMA_VERSION, type Draft, type Event } from "../machines/events.ts";
import { canonical } from "../machines/hash.ts";
import { isFromOutside, recordedCommand } from "../machines/recorded-command.ts";
import { initialState } from "../machines/state.ts";
import { step } from "../machines/step.ts";
import { newerSchema } from "./fold.ts";
import type { EventLog } from "./log/event-log.ts";
import { logPages } from "./log-pages.ts";
import { recordedShell, type AgentDefinition } from "./recorded-shell.ts";

/** What {@link checkReplay} found: all as recorded, or the first event that today's code does not record as it was. */
export type ReplayCheck =
  | { readonly ok: true; readonly events: number }
  | {
      readonly ok: false;
      readonly seq: number;
      /** As recorded. */
      readonly expected: Event;
      /** What today's code records there; undefined where it records nothing or refuses what came from outside. */
      readonly got: Event | undefined;
      /** In one sentence. */
      readonly problem: string;
    };

/**
 * Runs today's code against a recorded run: what came from outside (the model's answers, the results of tools, what people said and asked for,
 * changes of owner) is taken from the log, in its order; everything that the run does by itself is done again by the charts, the reducer, the
 * rules of commands, the tools' schemas and the scheduling of calls as they are now, and compared, event by event. No model is asked, no tool
 * runs, nothing is recorded.
 *
 * Not compared: what a message cost or may have used (prices and rules of thumb change), timestamps, causes, latencies, the model's name, the run id within idempotency keys, and the state hashes of another reducer.
 * The limit of steps is the recorded one.
 *
 * What it cannot see: how a model's stream or a tool's answer becomes an event (timeouts, output schemas, decoding: their results are given),
 * what the model would answer to other instructions, and whether the run should have acted a moment earlier than something from outside came:
 * that order is taken as recorded. A log may end anywhere: what would come next is not missed.
 *
 * Throws {@link RubatoError} `unknown_run`, `newer_schema`, `log` for a log that cannot be read.
 */
export async function checkReplay(log: EventLog, runId: string, definition: AgentDefinition): Promise<ReplayCheck> {
  const check = replayCheck(runId, definition);
  let current: Event | undefined;
  let events = 0;
  for await (const page of logPages(log, runId)) {
    for (const next of page) {
      const divergence = current === undefined ? undefined : await check(current, next);
      if (divergence !== undefined) return divergence;
      current = next;
      events++;
    }
  }
  const divergence = current === undefined ? undefined : await check(current, undefined);
  return divergence ?? { ok: true, events };
}

type Divergence = Extract<ReplayCheck, { ok: false }>;

interface Todo {
  readonly effect: EffectName;
  readonly event: Event;
}

/** Takes the recorded events in order, each with the one after it. */
function replayCheck(
  runId: string,
  definition: AgentDefinition,
): (event: Event, next: Event | undefined) => Promise<Divergence | undefined> {
  const shell = recordedShell(runId, definition);
  let state = initialState();
  /** What today's code records next: it was begun, and nothing comes in between. */
  let foreseen: readonly Event[] = [];
  /** Effects that were not acted on yet. */
  let todo: readonly Todo[] = [];
  /** Those that were overtaken while they waited for something, and so come after all that is due at once. */
  let later: readonly Todo[] = [];

  /** Acts on what is due, until it leads to events. One that something from outside overtook waits: it acts on the state that it finds then. */
  async function foresee(recorded: Event): Promise<void> {
    while (foreseen.length === 0) {
      const due = todo[0] ?? later[0];
      if (due === undefined) return;
      const { events, late } = await shell.act(state, due.effect, due.event);
      const [first] = events;
      const overtaken = first !== undefined && isFromOutside(recorded) && !same(recorded, first);
      if (overtaken && !late) return;
      if (overtaken && todo.length === 0) return;
      if (todo.length === 0) later = later.slice(1);
      else todo = todo.slice(1);
      if (overtaken) later = [...later, due];
      else foreseen = events;
    }
  }

  /** What a person asked for, answered by today's rules. */
  function answer(recorded: Event, next: Event | undefined): Divergence | undefined {
    const command = recordedCommand(recorded, next);
    if (command === undefined) return undefined;
    const decided = respond(state, command);
    if (!decided.accepted) {
      return diverged(recorded, undefined, `the command "${command.type}" is refused (${decided.reason})`);
    }
    const [first, ...others] = shell.place(state, decided.drafts);
    if (first === undefined || !same(recorded, first)) {
      return diverged(recorded, first, `the command "${command.type}" is answered otherwise`);
    }
    foreseen = others;
    return undefined;
  }

  return async (recorded, next) => {
    if (recorded.type === "run_start" && recorded.data.schema > SCHEMA_VERSION) {
      throw newerSchema(runId, recorded.data.schema);
    }
    if (recorded.type === "owner") {
      // The process that was to do these is gone.
      todo = [];
      later = [];
      foreseen = [];
    }
    // Most events are deltas, and nothing is due at them.
    if (todo.length + later.length > 0 && foreseen.length === 0) await foresee(recorded);
    const [expected, ...rest] = foreseen;
    let other = false;
    if (expected !== undefined) {
      if (!same(recorded, expected))
        return diverged(recorded, expected, `today's code records "${expected.type}" here`);
      foreseen = rest;
      // Where the time is limited it is counted from the timestamps that were recorded.
      other =
        rest.length > 0 && (state.core.control.limits?.wallMs !== undefined || hasOtherFigures(recorded, expected));
    } else if (!isFromOutside(recorded)) {
      return diverged(recorded, undefined, "today's code records nothing here");
    } else {
      const divergence = answer(recorded, next);
      if (divergence !== undefined) return divergence;
    }
    const result = step(state, recorded);
    if (!result.accepted) {
      return diverged(recorded, undefined, `today's charts refuse it (${result.reason})`);
    }
    state = result.state;
    // What comes after it sums up what was recorded, by whatever prices and rule of thumb.
    if (other) foreseen = shell.place(state, foreseen.map(draftOf));
    if (result.effects.length > 0) {
      todo = [...todo, ...result.effects.map((effect): Todo => ({ effect, event: recorded }))];
    }
    return undefined;
  };
}

function diverged(expected: Event, got: Event | undefined, why: string): Divergence {
  const { seq, type, timestamp } = expected;
  return {
    ok: false,
    seq,
    expected,
    got: got === undefined ? undefined : { ...got, timestamp },
    problem: `Seq ${seq} is "${type}", and ${why}.`,
  };
}

function same(recorded: Event, foreseen: Event): boolean {
  if (recorded.type !== foreseen.type) return false;
  return canonical(comparable(recorded, recorded)) === canonical(comparable(foreseen, recorded));
}

function draftOf({ seq: _seq, timestamp: _timestamp, runId: _runId, ...draft }: Event): Draft {
  return draft;
}

/** The same message, priced or estimated otherwise. */
function hasOtherFigures(recorded: Event, foreseen: Event): boolean {
  if (recorded.type !== "message" || foreseen.type !== "message") return false;
  return (
    canonical([recorded.data.estimate, recorded.data.cost]) !== canonical([foreseen.data.estimate, foreseen.data.cost])
  );
}

/** What of an event must be as it was. */
function comparable(event: Event, recorded: Event): unknown {
  switch (event.type) {
    case "thinking":
      return { ...event.data, model: "" };
    case "approval_request":
      return { ...event.data, expiresAt: 0 };
    case "message": {
      // By the prices of whoever ran it, and by today's rule of thumb.
      const { estimate: _estimate, cost: _cost, ...said } = event.data;
      return said;
    }
    case "tool_start":
      return { ...event.data, idempotencyKey: event.data.idempotencyKey.endsWith(`:${event.data.callId}`) };
    case "interrupted":
    case "done":
    case "failed":
    case "cancelled": {
      const data = event.type === "interrupted" ? { ...event.data, latencyMs: 0 } : event.data;
      const ofOther = isTerminal(recorded) && recorded.data.reducer !== REDUCER_VERSION;
      return ofOther ? { ...data, stateHash: "", reducer: 0 } : data;
    }
    default:
      return event.data;
  }
}
