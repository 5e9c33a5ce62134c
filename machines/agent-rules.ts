import { isCut, type Event } from "./events.ts";

/**
 * What the agent chart counts, asks and changes: its context, its guards and its updates, by the names that the chart uses. Pure functions of
 * (context, event); an update changes the copy of the context that it is given.
 */

export interface ChartContext {
  /** Turns begun, from 1. A turn begins at the event that leaves idle, done, interrupted or failed. */
  readonly turn: number;
  /** Model requests of the run, retries of one request counted once. */
  readonly step: number;
  /** The same within this turn: what `maxSteps` counts. */
  readonly turnSteps: number;
  readonly maxSteps: number;
  readonly interrupt: "none" | "step" | "now";
  readonly cancelling: boolean;
  /** Whether the run goes on by itself after `interrupted`: an input came meanwhile, or `resume` is already recorded. */
  readonly resuming: "no" | "input" | "recorded";
  /** Inputs that wait for a step boundary, and follow-ups that wait for the end of the turn. */
  readonly next: number;
  readonly after: number;
  /** Calls of this step: asked for and not yet announced, waiting for approval, ready, executing, left behind by a process that lost the run. */
  readonly expected: number;
  readonly pending: number;
  readonly ready: number;
  readonly running: number;
  readonly orphans: number;
  readonly limit: "none" | "tripped" | "steps" | "budget";
  /** The last message is a complete answer and nothing came after it. */
  readonly complete: boolean;
}

export const INITIAL_CONTEXT: ChartContext = Object.freeze({
  turn: 0,
  step: 0,
  turnSteps: 0,
  maxSteps: 10,
  interrupt: "none",
  cancelling: false,
  resuming: "no",
  next: 0,
  after: 0,
  expected: 0,
  pending: 0,
  ready: 0,
  running: 0,
  orphans: 0,
  limit: "none",
  complete: false,
});

interface Args {
  readonly context: ChartContext;
  readonly event: Event;
}

/** Recoveries in a row without progress that a run survives: the fifth ends it. */
export const MAX_RECOVERIES = 5;

/** Calls that have no outcome yet and still can get one from this process. */
function openCalls(context: ChartContext): number {
  return context.expected + context.pending + context.ready + context.running;
}

/** The same after a result, which may be of a call that an earlier process left behind. */
function openAfter(context: ChartContext, event: Event): number {
  return openCalls(context) - (event.type === "tool_result" && event.data.from === "orphaned" ? 0 : 1);
}

function orphansAfter(context: ChartContext, event: Event): number {
  return context.orphans - (event.type === "tool_result" && event.data.from === "orphaned" ? 1 : 0);
}

function ended(event: Event): boolean {
  return (
    event.type === "message" &&
    (event.data.finish === "stop" || event.data.finish === "tool_calls" || event.data.finish === "length")
  );
}

function settles(event: Event): boolean {
  return event.type === "tool_result" && event.data.late !== true;
}

/** Nothing of this step is under way any more; calls whose outcome nobody knows may be left. */
function settlesLastOpen({ context, event }: Args): boolean {
  return settles(event) && openAfter(context, event) === 0;
}

function settlesLast(args: Args): boolean {
  return settlesLastOpen(args) && orphansAfter(args.context, args.event) === 0;
}

function isFork(event: Event): boolean {
  return event.type === "owner" && event.data.why === "fork";
}

function atLimit(context: ChartContext): boolean {
  return context.turnSteps >= context.maxSteps;
}

function requested(context: ChartContext): boolean {
  return context.interrupt !== "none";
}

function quiet(context: ChartContext): boolean {
  return openCalls(context) === 0 && context.limit !== "tripped";
}

/** A call whose outcome nobody knows holds the run at rest, whoever wants it to go on. */
function quietAndResumed(context: ChartContext): boolean {
  return quiet(context) && !context.cancelling && context.resuming === "recorded" && context.orphans === 0;
}

function stopsAtBoundary({ context, event }: Args): boolean {
  return (
    event.type === "interrupt" &&
    event.data.mode === "step" &&
    (context.interrupt === "none" || context.resuming !== "no")
  );
}

function mayResumeNow({ context, event }: Args): boolean {
  return (
    context.orphans === 0 && event.type === "resume" && (context.limit !== "budget" || event.data.budget !== undefined)
  );
}

/** Every guard of the chart. `interruptRequested` is the check at every step boundary. */
export const agentGuards = {
  interruptRequested: ({ context }: Args) => requested(context),
  isWallTime: ({ event }: Args) => event.type === "deadline" && event.data.name === "wall_time",
  isModelError: ({ event }: Args) => event.type === "error" && event.data.source === "model",
  isModelErrorInterrupted: ({ context, event }: Args) =>
    event.type === "error" && event.data.source === "model" && requested(context),

  answerTruncated: ({ event }: Args) => event.type === "message" && event.data.finish === "truncated",
  answerEnded: ({ event }: Args) => ended(event),
  answerEndedInterrupted: ({ context, event }: Args) => ended(event) && requested(context),
  answerWantsTools: ({ event }: Args) => ended(event) && event.type === "message" && event.data.calls.length > 0,
  answerEndedInputWaits: ({ context, event }: Args) => ended(event) && context.next > 0,
  answerEndedInputAtLimit: ({ context, event }: Args) => ended(event) && context.next > 0 && atLimit(context),
  answerCut: ({ event }: Args) => event.type === "message" && isCut(event.data),

  callsExpected: ({ context }: Args) => context.expected > 0,
  approvalPending: ({ context }: Args) => context.pending > 0,
  onlyApprovalsLeft: ({ context }: Args) =>
    context.pending > 0 && context.expected + context.ready + context.running === 0,
  mayStart: ({ context, event }: Args) =>
    event.type === "tool_start" &&
    !requested(context) &&
    (event.data.attempt > 1 ? context.orphans : context.ready) > 0,
  settlesCall: ({ context, event }: Args) => settles(event) && openCalls(context) + context.orphans > 0,
  settlesOrphan: ({ context, event }: Args) =>
    context.orphans > 0 && event.type === "tool_result" && event.data.from === "orphaned",
  settlesLast,
  settlesLastInterrupted: (args: Args) => settlesLastOpen(args) && requested(args.context),
  settlesLastAtLimit: (args: Args) => settlesLast(args) && atLimit(args.context),
  settlesLastButApprovals: ({ context, event }: Args) => {
    if (event.type !== "tool_result" || event.data.late === true) return false;
    const { from } = event.data;
    const pending = context.pending - (from === "awaiting_approval" ? 1 : 0);
    const working = context.expected + context.ready + context.running;
    const left = from === "awaiting_approval" || from === "orphaned" ? working : working - 1;
    return pending > 0 && left === 0 && orphansAfter(context, event) === 0;
  },

  stopNow: ({ context, event }: Args) =>
    event.type === "interrupt" &&
    event.data.mode === "now" &&
    (context.interrupt !== "now" || (event.data.cancel === true && !context.cancelling)),
  stopAtBoundary: stopsAtBoundary,
  stopAtBoundaryIdle: (args: Args) => stopsAtBoundary(args) && args.context.running === 0,
  stopHarder: ({ context, event }: Args) =>
    event.type === "interrupt" &&
    !context.cancelling &&
    ((event.data.mode === "now" && context.interrupt !== "now") ||
      event.data.cancel === true ||
      context.resuming !== "no"),

  recoveredInterrupted: ({ context, event }: Args) => event.type === "owner" && (requested(context) || isFork(event)),
  forkedWithFollowUps: ({ context, event }: Args) => context.after > 0 && isFork(event),
  recoveredTooOften: ({ event }: Args) => event.type === "owner" && event.data.recoveries >= MAX_RECOVERIES,

  quiet: ({ context }: Args) => quiet(context) && !context.cancelling,
  quietAndResumed: ({ context }: Args) => quietAndResumed(context),
  quietAndResumedComplete: ({ context }: Args) => quietAndResumed(context) && context.complete && context.next === 0,
  // Whatever limit was reached just before: nobody will raise it.
  quietAndCancelling: ({ context }: Args) => openCalls(context) === 0 && context.cancelling,
  limitTripped: ({ context }: Args) => context.limit === "tripped",

  mayResumeLater: ({ context }: Args) => requested(context) && !context.cancelling && context.resuming !== "recorded",
  mayResume: mayResumeNow,
  mayResumeComplete: (args: Args) => mayResumeNow(args) && args.context.complete && args.context.next === 0,
  notCancelling: ({ context }: Args) => !context.cancelling,

  maySend: ({ context }: Args) => !requested(context),
  inputWaits: ({ context, event }: Args) =>
    event.type === "input_delivered" && event.data.delivered && context.next > 0,
  followUpDelivered: ({ context, event }: Args) =>
    event.type === "input_delivered" && event.data.delivered && context.after > 0,
  inputRefused: ({ context, event }: Args) =>
    event.type === "input_delivered" && !event.data.delivered && context.next + context.after > 0,
  followUpWaits: ({ context }: Args) => context.after > 0,
  mayFail: ({ context }: Args) => !requested(context),
};

/** A context that nobody has seen yet: updates change it in place, then it is a value like all others. */
export type ContextDraft = { -readonly [Key in keyof ChartContext]: ChartContext[Key] };

/** Changes a context by an event. */
export type ContextUpdate = (context: ContextDraft, event: Event) => void;

/** Which counter a call leaves. An orphan is a call that ran in a process that died. */
function settled(context: ContextDraft, event: Event): void {
  if (event.type !== "tool_result") return;
  switch (event.data.from) {
    case "complete":
      context.expected = Math.max(0, context.expected - 1);
      return;
    case "awaiting_approval":
      context.pending = Math.max(0, context.pending - 1);
      return;
    case "refused":
    case "ready":
      context.ready = Math.max(0, context.ready - 1);
      return;
    case "running":
      context.running = Math.max(0, context.running - 1);
      return;
    case "orphaned":
      context.orphans = Math.max(0, context.orphans - 1);
  }
}

/** Limits that a resume grants again by itself; all others have to be raised. */
function isGranted(kind: string): boolean {
  return kind === "max_steps" || kind === "repeats";
}

/** Everything that ends with the rest: granted or asked anew in the next turn. */
function beginTurn(context: ContextDraft): void {
  context.turn++;
  context.turnSteps = 0;
  context.interrupt = "none";
  context.resuming = "no";
  context.limit = "none";
}

/** What a `resume` raises, whenever it is said: one that comes before the rest counts as one after it. */
function raiseSteps(context: ContextDraft, event: Event): void {
  const maxSteps = event.type === "resume" ? event.data.budget?.["maxSteps"] : undefined;
  if (maxSteps !== undefined) context.maxSteps = maxSteps;
}

function orphanRunning(context: ContextDraft): void {
  context.orphans += context.running;
  context.running = 0;
}

/** Every update of the context. */
export const agentUpdates = {
  startRun: (context, event) => {
    if (event.type === "run_start") context.maxSteps = event.data.limits.maxSteps;
  },
  beginTurn: (context, event) => {
    beginTurn(context);
    raiseSteps(context, event);
  },
  beginTurnWithInput: (context) => {
    beginTurn(context);
    context.next++;
  },
  beginTurnWithFollowUp: (context) => {
    beginTurn(context);
    context.after--;
    context.complete = false;
  },
  queueInput: (context, event) => {
    if (event.type !== "user_input") return;
    if (event.data.when === "done") context.after++;
    else context.next++;
  },
  queueNext: (context) => {
    context.next++;
  },
  queueForResume: (context) => {
    context.next++;
    if (context.resuming === "no") context.resuming = "input";
  },
  deliverInput: (context) => {
    context.next--;
    context.complete = false;
  },
  dropInput: (context, event) => {
    if (event.type !== "input_delivered") return;
    const follow = event.data.queue === "done" ? context.after > 0 : context.next === 0;
    if (follow) context.after--;
    else context.next--;
  },
  beginRequest: (context, event) => {
    if (event.type !== "thinking") return;
    const { step } = event.data;
    if (step !== context.step) context.turnSteps++;
    context.step = step;
    context.complete = false;
  },
  endAnswer: (context, event) => {
    if (event.type !== "message") return;
    context.expected = event.data.calls.length;
    context.complete = event.data.calls.length === 0;
  },
  cutAnswer: (context) => {
    context.complete = false;
    context.expected = 0;
  },
  announceCall: (context, event) => {
    context.expected--;
    if (event.type === "tool_call" && event.data.approval === "required") context.pending++;
    else context.ready++;
  },
  answerApproval: (context) => {
    context.pending--;
    context.ready++;
  },
  startCall: (context, event) => {
    if (event.type === "tool_start" && event.data.attempt > 1) context.orphans--;
    else context.ready--;
    context.running++;
  },
  settleCall: settled,
  requestInterrupt: (context, event) => {
    if (event.type !== "interrupt") return;
    const { mode, cancel, redirect } = event.data;
    context.interrupt = mode === "now" || context.interrupt === "now" ? "now" : "step";
    if (cancel === true) context.cancelling = true;
    context.resuming = redirect === undefined ? "no" : "input";
  },
  resumeLater: (context, event) => {
    context.resuming = "recorded";
    raiseSteps(context, event);
  },
  tripLimit: (context) => {
    context.limit = "tripped";
  },
  noteLimit: (context, event) => {
    if (event.type === "limit") context.limit = isGranted(event.data.kind) ? "steps" : "budget";
  },
  rest: (context) => {
    context.interrupt = "none";
    context.resuming = "no";
  },
  loseCalls: orphanRunning,
  stopRecovered: (context, event) => {
    context.interrupt = "now";
    // A fork rests, whatever the run that it was copied from was told.
    if (isFork(event)) context.resuming = "no";
    orphanRunning(context);
  },
  note: () => {},
} satisfies Record<string, ContextUpdate>;

/**
 * A copy to be changed. Written out field by field: this runs for every control event, and a known shape is copied much faster than an object is
 * spread; for the same reason updates change one copy and make no objects of what they change, each of another shape.
 */
export function copyOf(context: ChartContext): ContextDraft {
  return {
    turn: context.turn,
    step: context.step,
    turnSteps: context.turnSteps,
    maxSteps: context.maxSteps,
    interrupt: context.interrupt,
    cancelling: context.cancelling,
    resuming: context.resuming,
    next: context.next,
    after: context.after,
    expected: context.expected,
    pending: context.pending,
    ready: context.ready,
    running: context.running,
    orphans: context.orphans,
    limit: context.limit,
    complete: context.complete,
  };
}
