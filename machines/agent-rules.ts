import { isCut, type Event } from "./events.ts";

/**
 * What the agent chart counts, asks and changes: its context, its guards and its updates, by the names that the chart uses. Pure functions of
 * (context, event).
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
type Patch = Partial<ChartContext>;

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

function queued(context: ChartContext, event: Event): Patch {
  if (event.type !== "user_input") return {};
  return event.data.when === "done" ? { after: context.after + 1 } : { next: context.next + 1 };
}

/** Which counter a call leaves. An orphan is a call that ran in a process that died. */
function settled(context: ChartContext, event: Event): Patch {
  if (event.type !== "tool_result") return {};
  switch (event.data.from) {
    case "complete":
      return { expected: Math.max(0, context.expected - 1) };
    case "awaiting_approval":
      return { pending: Math.max(0, context.pending - 1) };
    case "refused":
    case "ready":
      return { ready: Math.max(0, context.ready - 1) };
    case "running":
      return { running: Math.max(0, context.running - 1) };
    case "orphaned":
      return { orphans: Math.max(0, context.orphans - 1) };
  }
}

/** Limits that a resume grants again by itself; all others have to be raised. */
function isGranted(kind: string): boolean {
  return kind === "max_steps" || kind === "repeats";
}

/** Everything that ends with the rest: granted or asked anew in the next turn. */
const restOver: Patch = { turnSteps: 0, interrupt: "none", resuming: "no", limit: "none" };

/** What a `resume` raises, whenever it is said: one that comes before the rest counts as one after it. */
function raisedSteps(event: Event): Patch {
  const maxSteps = event.type === "resume" ? event.data.budget?.["maxSteps"] : undefined;
  return maxSteps === undefined ? {} : { maxSteps };
}

/** Every update of the context, as a pure function. */
export const agentUpdates = {
  startRun: ({ event }: Args): Patch => (event.type === "run_start" ? { maxSteps: event.data.limits.maxSteps } : {}),
  beginTurn: ({ context, event }: Args): Patch => ({ ...restOver, turn: context.turn + 1, ...raisedSteps(event) }),
  beginTurnWithInput: ({ context }: Args): Patch => ({ ...restOver, turn: context.turn + 1, next: context.next + 1 }),
  beginTurnWithFollowUp: ({ context }: Args): Patch => ({
    ...restOver,
    turn: context.turn + 1,
    after: context.after - 1,
    complete: false,
  }),
  queueInput: ({ context, event }: Args): Patch => queued(context, event),
  queueNext: ({ context }: Args): Patch => ({ next: context.next + 1 }),
  queueForResume: ({ context }: Args): Patch => ({
    next: context.next + 1,
    resuming: context.resuming === "no" ? "input" : context.resuming,
  }),
  deliverInput: ({ context }: Args): Patch => ({ next: context.next - 1, complete: false }),
  dropInput: ({ context, event }: Args): Patch => {
    if (event.type !== "input_delivered") return {};
    const follow = event.data.queue === "done" ? context.after > 0 : context.next === 0;
    return follow ? { after: context.after - 1 } : { next: context.next - 1 };
  },
  beginRequest: ({ context, event }: Args): Patch =>
    event.type === "thinking"
      ? {
          step: event.data.step,
          turnSteps: event.data.step === context.step ? context.turnSteps : context.turnSteps + 1,
          complete: false,
        }
      : {},
  endAnswer: ({ event }: Args): Patch =>
    event.type === "message" ? { expected: event.data.calls.length, complete: event.data.calls.length === 0 } : {},
  cutAnswer: (): Patch => ({ complete: false, expected: 0 }),
  announceCall: ({ context, event }: Args): Patch =>
    event.type === "tool_call" && event.data.approval === "required"
      ? { expected: context.expected - 1, pending: context.pending + 1 }
      : { expected: context.expected - 1, ready: context.ready + 1 },
  answerApproval: ({ context }: Args): Patch => ({ pending: context.pending - 1, ready: context.ready + 1 }),
  startCall: ({ context, event }: Args): Patch =>
    event.type === "tool_start" && event.data.attempt > 1
      ? { orphans: context.orphans - 1, running: context.running + 1 }
      : { ready: context.ready - 1, running: context.running + 1 },
  settleCall: ({ context, event }: Args): Patch => settled(context, event),
  requestInterrupt: ({ context, event }: Args): Patch => {
    if (event.type !== "interrupt") return {};
    return {
      interrupt: event.data.mode === "now" || context.interrupt === "now" ? "now" : "step",
      cancelling: context.cancelling || event.data.cancel === true,
      resuming: event.data.redirect === undefined ? "no" : "input",
    };
  },
  resumeLater: ({ event }: Args): Patch => ({ resuming: "recorded", ...raisedSteps(event) }),
  tripLimit: (): Patch => ({ limit: "tripped" }),
  noteLimit: ({ event }: Args): Patch =>
    event.type === "limit" ? { limit: isGranted(event.data.kind) ? "steps" : "budget" } : {},
  rest: (): Patch => ({ interrupt: "none", resuming: "no" }),
  loseCalls: ({ context }: Args): Patch => ({ orphans: context.orphans + context.running, running: 0 }),
  stopRecovered: ({ context, event }: Args): Patch => ({
    interrupt: "now",
    // A fork rests, whatever the run that it was copied from was told.
    resuming: isFork(event) ? "no" : context.resuming,
    orphans: context.orphans + context.running,
    running: 0,
  }),
  note: (): Patch => ({}),
};

/** A context with some fields changed. Written out field by field: this runs for every control event, and a known shape is copied much faster
 * than two objects are merged. */
export function patched(context: ChartContext, patch: Partial<ChartContext>): ChartContext {
  return {
    turn: patch.turn ?? context.turn,
    step: patch.step ?? context.step,
    turnSteps: patch.turnSteps ?? context.turnSteps,
    maxSteps: patch.maxSteps ?? context.maxSteps,
    interrupt: patch.interrupt ?? context.interrupt,
    cancelling: patch.cancelling ?? context.cancelling,
    resuming: patch.resuming ?? context.resuming,
    next: patch.next ?? context.next,
    after: patch.after ?? context.after,
    expected: patch.expected ?? context.expected,
    pending: patch.pending ?? context.pending,
    ready: patch.ready ?? context.ready,
    running: patch.running ?? context.running,
    orphans: patch.orphans ?? context.orphans,
    limit: patch.limit ?? context.limit,
    complete: patch.complete ?? context.complete,
  };
}
