import type { Event, EventData, Limits } from "./events.ts";

/**
 * What of a run's state has to do with its limits, its approvals and its retries. One object, since a run that has none of these carries none: the
 * same {@link NO_CONTROL} stands in every one of its states.
 */
export interface Control {
  /** In force: those that the run was begun with, as later raised. Undefined where `maxSteps` is the only one. */
  readonly limits: Budgets | undefined;
  /** Calls that started. Counted only where they are limited, as all below. */
  readonly toolCalls: number;
  /** Milliseconds that the run worked, up to the last control event. */
  readonly workedMs: number;
  /** When that was, ms since 1970. Undefined at rest. */
  readonly workedAt: number | undefined;
  /** The clock said that the time is up. */
  readonly timeUp: boolean;
  /** Tools whose calls a person has approved for the rest of the run. */
  readonly allowed: readonly string[];
  /** The model in use, by its place in the agent's list. Every turn begins with the first. */
  readonly model: number;
  /** How often the open request was made again with this model. */
  readonly retries: number;
}

/** Limits that are used up, and have to be raised to go on. */
export type Budgets = Omit<Limits, "maxSteps" | "maxRepeats">;

export const NO_CONTROL: Control = Object.freeze({
  limits: undefined,
  toolCalls: 0,
  workedMs: 0,
  workedAt: undefined,
  timeUp: false,
  allowed: Object.freeze([]),
  model: 0,
  retries: 0,
});

/** The budgets of a run, and nothing where it has none. */
export function budgetsOf({ maxSteps: _steps, maxRepeats: _repeats, ...budgets }: Limits): Control["limits"] {
  return Object.values(budgets).some((value) => value !== undefined) ? budgets : undefined;
}

/** What of the charts the control depends on. */
export interface Moved {
  readonly newTurn: boolean;
  readonly wasAtRest: boolean;
  readonly atRest: boolean;
  /** Of the call that the event is about. */
  readonly tool: string | undefined;
}

/** Whether an event can change the control at all: most events of most runs cannot. */
export function concernsControl(control: Control, event: Event): boolean {
  switch (event.type) {
    case "run_start":
    case "retry":
    case "deadline":
    case "approval":
    case "resume":
      return true;
    default:
      return control !== NO_CONTROL;
  }
}

/** The control after an event; the same object where the event has nothing to do with it. */
export function reduceControlOf(control: Control, event: Event, { newTurn, wasAtRest, atRest, tool }: Moved): Control {
  let next = control;
  if (newTurn && (next.model > 0 || next.retries > 0)) next = { ...next, model: 0, retries: 0 };
  if (next.limits?.wallMs !== undefined) next = worked(next, event, wasAtRest, atRest);
  switch (event.type) {
    case "run_start": {
      const limits = budgetsOf(event.data.limits);
      return limits === undefined ? next : { ...next, limits };
    }
    case "resume":
      return event.data.budget === undefined ? next : raised(next, event.data.budget);
    case "tool_start":
      return next.limits?.toolCalls === undefined || event.data.attempt > 1
        ? next
        : { ...next, toolCalls: next.toolCalls + 1 };
    case "message":
      return next.retries === 0 ? next : { ...next, retries: 0 };
    case "retry":
      return event.data.fallback === undefined
        ? { ...next, retries: next.retries + 1 }
        : { ...next, model: event.data.fallback, retries: 0 };
    case "deadline":
      return event.data.name === "wall_time" ? { ...next, timeUp: true } : next;
    case "owner":
      // A person allowed them in the run that this one was copied from, not in this one.
      return event.data.why === "fork" && next.allowed.length > 0 ? { ...next, allowed: NO_CONTROL.allowed } : next;
    case "approval":
      return event.data.forRun === true && tool !== undefined && !next.allowed.includes(tool)
        ? { ...next, allowed: [...next.allowed, tool] }
        : next;
    default:
      return next;
  }
}

/** Time from one control event to the next, while the run works: what passed while no process had it does not count, nor does its rest. */
function worked(control: Control, event: Event, wasAtRest: boolean, atRest: boolean): Control {
  const { workedAt } = control;
  const counts = workedAt !== undefined && !wasAtRest && event.type !== "owner";
  // A clock that was set back takes nothing away.
  const workedMs = counts ? control.workedMs + Math.max(0, event.timestamp - workedAt) : control.workedMs;
  return { ...control, workedMs, workedAt: atRest ? undefined : event.timestamp };
}

function raised(control: Control, budget: NonNullable<EventData<"resume">["budget"]>): Control {
  const limits = raisedLimits(control.limits, budget);
  if (limits === undefined) return control;
  return { ...control, limits, timeUp: control.timeUp && budget["wallMs"] === undefined };
}

const BUDGETS = ["toolCalls", "inputTokens", "outputTokens", "cost", "wallMs"] as const;

/** The limits with those of a `resume` in their place. What is no budget of a run is left out. */
export function raisedLimits(limits: Control["limits"], budget: Readonly<Record<string, number>>): Control["limits"] {
  const next: { -readonly [Key in (typeof BUDGETS)[number]]?: number | undefined } = { ...limits };
  for (const name of BUDGETS) if (Object.hasOwn(budget, name)) next[name] = budget[name];
  return Object.keys(next).length === 0 ? undefined : next;
}
