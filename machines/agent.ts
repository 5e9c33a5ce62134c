import { assign, setup } from "xstate";
import type { Event } from "./events.ts";

/**
 * The agent statechart: where a run stands and what may happen next. It is driven by the events of the log, so `createActor(agentMachine)`
 * fed with a recorded log walks the same states as `step()`.
 *
 * Rules that the rest of the code relies on (numbers as in the design's list):
 * R2 It changes only by events; its context holds counters, never messages.
 * R5 From `interrupt` until both `interrupted` and `resume` are recorded there is no way to `thinking` (a request) or `tool_start`:
 *    `thinking` is taken in preparing only, which no interrupted run can reach without them, and `tool_start` is guarded by `mayStart`.
 * C1 No invoke, spawn, after, history, parallel, entry or exit actions: restoring such charts runs side effects twice or loses timers.
 *    Time is an event.
 * C2 Guards and actions are named, so the config is plain JSON and draws anywhere.
 * C3 Actions are either updates (assigns of the context) or effects: names of what the shell has to do now. Effects have no implementation.
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
  /** Calls of this step: asked for and not yet announced, waiting for approval, ready, executing, left behind by a dead process. */
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

/** Calls that have no outcome yet and still can get one from this process. */
function openCalls(context: ChartContext): number {
  return context.expected + context.pending + context.ready + context.running;
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

function settlesLast({ context, event }: Args): boolean {
  return settles(event) && openCalls(context) === 1;
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

/** Every guard of the chart. `interruptRequested` is the check at every step boundary. */
export const agentGuards = {
  interruptRequested: ({ context }: Args) => requested(context),
  isModelError: ({ event }: Args) => event.type === "error" && event.data.source === "model",
  isModelErrorInterrupted: ({ context, event }: Args) =>
    event.type === "error" && event.data.source === "model" && requested(context),

  answerTruncated: ({ event }: Args) => event.type === "message" && event.data.finish === "truncated",
  answerEnded: ({ event }: Args) => ended(event),
  answerEndedInterrupted: ({ context, event }: Args) => ended(event) && requested(context),
  answerWantsTools: ({ event }: Args) => ended(event) && event.type === "message" && event.data.calls.length > 0,
  answerEndedInputWaits: ({ context, event }: Args) => ended(event) && context.next > 0,
  answerEndedInputAtLimit: ({ context, event }: Args) => ended(event) && context.next > 0 && atLimit(context),
  answerCut: ({ event }: Args) =>
    event.type === "message" && (event.data.finish === "interrupted" || event.data.finish === "truncated"),

  callsExpected: ({ context }: Args) => context.expected > 0,
  approvalPending: ({ context }: Args) => context.pending > 0,
  onlyApprovalsLeft: ({ context }: Args) =>
    context.pending > 0 && context.expected + context.ready + context.running === 0,
  mayStart: ({ context, event }: Args) =>
    event.type === "tool_start" && !requested(context) && (event.data.attempt > 1 ? true : context.ready > 0),
  settlesCall: ({ context, event }: Args) => settles(event) && openCalls(context) + context.orphans > 0,
  settlesOrphan: ({ context, event }: Args) => settles(event) && context.orphans > 0,
  settlesLast,
  settlesLastInterrupted: (args: Args) => settlesLast(args) && requested(args.context),
  settlesLastAtLimit: (args: Args) => settlesLast(args) && atLimit(args.context),
  settlesLastButApprovals: ({ context, event }: Args) =>
    settles(event) &&
    event.type === "tool_result" &&
    context.pending > (event.data.from === "awaiting_approval" ? 1 : 0) &&
    context.expected + context.ready + context.running - (event.data.from === "awaiting_approval" ? 0 : 1) === 0,

  stopNow: ({ context, event }: Args) =>
    event.type === "interrupt" &&
    event.data.mode === "now" &&
    (context.interrupt !== "now" || (event.data.cancel === true && !context.cancelling)),
  stopAtBoundary: ({ context, event }: Args) =>
    event.type === "interrupt" &&
    event.data.mode === "step" &&
    (context.interrupt === "none" || context.resuming !== "no"),
  stopAtBoundaryIdle: ({ context, event }: Args) =>
    event.type === "interrupt" &&
    event.data.mode === "step" &&
    (context.interrupt === "none" || context.resuming !== "no") &&
    context.running === 0,
  stopHarder: ({ context, event }: Args) =>
    event.type === "interrupt" &&
    !context.cancelling &&
    ((event.data.mode === "now" && context.interrupt !== "now") ||
      event.data.cancel === true ||
      context.resuming !== "no"),

  quiet: ({ context }: Args) => quiet(context) && !context.cancelling,
  quietAndResumed: ({ context }: Args) => quiet(context) && !context.cancelling && context.resuming === "recorded",
  quietAndResumedComplete: ({ context }: Args) =>
    quiet(context) && !context.cancelling && context.resuming === "recorded" && context.complete && context.next === 0,
  quietAndCancelling: ({ context }: Args) => quiet(context) && context.cancelling,
  limitTripped: ({ context }: Args) => context.limit === "tripped",

  mayResumeLater: ({ context }: Args) => requested(context) && !context.cancelling && context.resuming !== "recorded",
  mayResume: ({ context, event }: Args) =>
    context.orphans === 0 && event.type === "resume" && (context.limit !== "budget" || event.data.budget !== undefined),
  mayResumeComplete: ({ context, event }: Args) =>
    context.orphans === 0 &&
    event.type === "resume" &&
    (context.limit !== "budget" || event.data.budget !== undefined) &&
    context.complete &&
    context.next === 0,
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
      return context.running > 0 ? { running: context.running - 1 } : { orphans: Math.max(0, context.orphans - 1) };
  }
}

/** Everything that ends with the rest: granted or asked anew in the next turn. */
const restOver: Patch = { turnSteps: 0, interrupt: "none", resuming: "no", limit: "none" };

/** Every update of the context, as a pure function. */
export const agentUpdates = {
  startRun: ({ event }: Args): Patch => (event.type === "run_start" ? { maxSteps: event.data.limits.maxSteps } : {}),
  beginTurn: ({ context }: Args): Patch => ({ ...restOver, turn: context.turn + 1 }),
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
      ? {}
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
  resumeLater: (): Patch => ({ resuming: "recorded" }),
  tripLimit: (): Patch => ({ limit: "tripped" }),
  noteLimit: ({ event }: Args): Patch =>
    event.type === "limit" ? { limit: event.data.kind === "max_steps" ? "steps" : "budget" } : {},
  rest: (): Patch => ({ interrupt: "none", resuming: "no" }),
  loseOwner: ({ context }: Args): Patch => ({
    interrupt: "now",
    orphans: context.orphans + context.running,
    running: 0,
    resuming: context.resuming,
  }),
  note: (): Patch => ({}),
};

/** What the shell has to do, by name. The data stands in the state. */
export const EFFECTS = [
  "prepare",
  "request",
  "announce",
  "dispatch",
  "execute",
  "skip",
  "abort_model",
  "abort_tools",
  "settle",
  "finish",
  "follow_up",
  "recover",
  "schedule_retry",
  "cancel_timers",
] as const;
export type EffectName = (typeof EFFECTS)[number];

const machineTypes: { context?: ChartContext; events?: Event } = {};
const effect = (): void => {};

const agentSetup = setup({
  types: machineTypes,
  guards: agentGuards,
  actions: {
    startRun: assign(agentUpdates.startRun),
    beginTurn: assign(agentUpdates.beginTurn),
    beginTurnWithInput: assign(agentUpdates.beginTurnWithInput),
    beginTurnWithFollowUp: assign(agentUpdates.beginTurnWithFollowUp),
    queueInput: assign(agentUpdates.queueInput),
    queueNext: assign(agentUpdates.queueNext),
    queueForResume: assign(agentUpdates.queueForResume),
    deliverInput: assign(agentUpdates.deliverInput),
    dropInput: assign(agentUpdates.dropInput),
    beginRequest: assign(agentUpdates.beginRequest),
    endAnswer: assign(agentUpdates.endAnswer),
    cutAnswer: assign(agentUpdates.cutAnswer),
    announceCall: assign(agentUpdates.announceCall),
    answerApproval: assign(agentUpdates.answerApproval),
    startCall: assign(agentUpdates.startCall),
    settleCall: assign(agentUpdates.settleCall),
    requestInterrupt: assign(agentUpdates.requestInterrupt),
    resumeLater: assign(agentUpdates.resumeLater),
    tripLimit: assign(agentUpdates.tripLimit),
    noteLimit: assign(agentUpdates.noteLimit),
    rest: assign(agentUpdates.rest),
    loseOwner: assign(agentUpdates.loseOwner),
    note: assign(agentUpdates.note),
    prepare: effect,
    request: effect,
    announce: effect,
    dispatch: effect,
    execute: effect,
    skip: effect,
    abort_model: effect,
    abort_tools: effect,
    settle: effect,
    finish: effect,
    follow_up: effect,
    recover: effect,
    schedule_retry: effect,
    cancel_timers: effect,
  },
});

/** What a request that is out can meet, whether its answer has begun to stream or not. */
const answering = agentSetup.createStateConfig({
  on: {
    message: [
      { guard: "answerTruncated", actions: ["cutAnswer"] },
      { guard: "answerEndedInterrupted", target: "#draining", actions: ["endAnswer", "skip", "settle"] },
      { guard: "answerWantsTools", target: "#executing", actions: ["endAnswer", "announce"] },
      { guard: "answerEndedInputAtLimit", target: "#draining", actions: ["endAnswer", "tripLimit", "settle"] },
      { guard: "answerEndedInputWaits", target: "#preparing", actions: ["endAnswer", "prepare"] },
      { guard: "answerEnded", target: "#finishing", actions: ["endAnswer", "finish"] },
    ],
    error: [
      { guard: "isModelErrorInterrupted", target: "#draining", actions: ["settle"] },
      { guard: "isModelError", actions: ["recover"] },
    ],
    retry: { guard: "mayFail", target: "#backoff", actions: ["schedule_retry"] },
    interrupt: [
      { guard: "stopNow", target: "#draining", actions: ["requestInterrupt", "abort_model", "settle"] },
      { guard: "stopAtBoundary", actions: ["requestInterrupt"] },
    ],
  },
});

export const agentMachine = agentSetup.createMachine({
  id: "agent",
  context: INITIAL_CONTEXT,
  initial: "idle",
  states: {
    idle: {
      description: "Nothing was asked yet.",
      on: {
        run_start: { actions: ["startRun"] },
        user_input: { target: "#preparing", actions: ["beginTurnWithInput", "prepare"] },
        cancelled: { target: "#cancelled" },
        owner: { actions: ["note"] },
      },
    },
    thinking: {
      description: "The model's part of a step.",
      initial: "preparing",
      on: {
        owner: { target: "#draining", actions: ["loseOwner", "skip", "settle"] },
        user_input: [{ guard: "interruptRequested", actions: ["queueForResume"] }, { actions: ["queueInput"] }],
        resume: { guard: "mayResumeLater", actions: ["resumeLater"] },
        failed: { guard: "mayFail", target: "#failed", actions: ["rest"] },
        deadline: { actions: ["note"] },
      },
      states: {
        preparing: {
          id: "preparing",
          description: "The waiting inputs are delivered and the request is built.",
          on: {
            input_delivered: { guard: "inputWaits", actions: ["deliverInput"] },
            thinking: { guard: "maySend", target: "#requesting", actions: ["beginRequest", "request"] },
            interrupt: { target: "#draining", actions: ["requestInterrupt", "settle"] },
          },
        },
        requesting: {
          id: "requesting",
          description: "The request is out, nothing came back yet.",
          on: {
            token_stream: { target: "#streaming" },
            tool_call_delta: { target: "#streaming" },
            ...answering.on,
          },
        },
        streaming: {
          id: "streaming",
          description: "The answer streams.",
          on: {
            ...answering.on,
          },
        },
        backoff: {
          id: "backoff",
          description: "A failed request waits for its next attempt.",
          on: {
            retry_due: { target: "#preparing", actions: ["prepare"] },
            interrupt: { target: "#draining", actions: ["requestInterrupt", "cancel_timers", "settle"] },
          },
        },
        finishing: {
          id: "finishing",
          description: "The answer is complete and nothing waits: only `done` may follow.",
          on: {
            done: [
              { guard: "followUpWaits", target: "#done", actions: ["rest", "follow_up"] },
              { target: "#done", actions: ["rest"] },
            ],
            user_input: { target: "#preparing", actions: ["queueNext", "prepare"] },
            interrupt: { target: "#draining", actions: ["requestInterrupt", "settle"] },
          },
        },
      },
    },
    acting: {
      description: "The tool calls of this step.",
      initial: "executing",
      on: {
        owner: { target: "#draining", actions: ["loseOwner", "skip", "settle"] },
        tool_call: { guard: "callsExpected", target: "#executing", actions: ["announceCall", "dispatch"] },
        approval_request: [
          { guard: "onlyApprovalsLeft", target: "#awaiting_approval", actions: ["note"] },
          { guard: "approvalPending", actions: ["note"] },
        ],
        approval: { guard: "approvalPending", target: "#executing", actions: ["answerApproval", "dispatch"] },
        tool_start: { guard: "mayStart", target: "#executing", actions: ["startCall", "execute"] },
        tool_result: [
          { guard: "settlesLastInterrupted", target: "#draining", actions: ["settleCall", "settle"] },
          { guard: "settlesLastAtLimit", target: "#draining", actions: ["settleCall", "tripLimit", "settle"] },
          { guard: "settlesLast", target: "#preparing", actions: ["settleCall", "prepare"] },
          { guard: "settlesLastButApprovals", target: "#awaiting_approval", actions: ["settleCall"] },
          { guard: "settlesCall", target: "#executing", actions: ["settleCall", "dispatch"] },
        ],
        interrupt: [
          { guard: "stopNow", target: "#draining", actions: ["requestInterrupt", "skip", "abort_tools", "settle"] },
          { guard: "stopAtBoundaryIdle", target: "#draining", actions: ["requestInterrupt", "skip", "settle"] },
          { guard: "stopAtBoundary", target: "#executing", actions: ["requestInterrupt", "skip"] },
        ],
        user_input: [{ guard: "interruptRequested", actions: ["queueForResume"] }, { actions: ["queueInput"] }],
        resume: { guard: "mayResumeLater", actions: ["resumeLater"] },
        deadline: { actions: ["note"] },
      },
      states: {
        awaiting_approval: { id: "awaiting_approval", description: "Calls wait for a person, nothing executes." },
        executing: { id: "executing", description: "Calls are announced, started and settled." },
      },
    },
    interrupted: {
      description: "Stopped by a person, a limit or a dead process: it can be resumed.",
      initial: "draining",
      states: {
        draining: {
          id: "draining",
          description: "Everything in flight is being settled.",
          on: {
            message: { guard: "answerCut", actions: ["cutAnswer", "settle"] },
            tool_result: { guard: "settlesCall", actions: ["settleCall", "settle"] },
            limit: { guard: "limitTripped", actions: ["noteLimit"] },
            interrupt: { guard: "stopHarder", actions: ["requestInterrupt", "abort_tools", "settle"] },
            user_input: { guard: "notCancelling", actions: ["queueForResume"] },
            resume: { guard: "mayResumeLater", actions: ["resumeLater"] },
            input_delivered: { guard: "inputRefused", actions: ["dropInput"] },
            interrupted: [
              { guard: "quietAndResumedComplete", target: "#finishing", actions: ["beginTurn", "finish"] },
              { guard: "quietAndResumed", target: "#preparing", actions: ["beginTurn", "prepare"] },
              { guard: "quiet", target: "#paused", actions: ["rest"] },
            ],
            cancelled: { guard: "quietAndCancelling", target: "#cancelled", actions: ["rest"] },
            failed: { guard: "quiet", target: "#failed", actions: ["rest"] },
            owner: { actions: ["loseOwner", "skip", "settle"] },
            deadline: { actions: ["note"] },
          },
        },
        paused: {
          id: "paused",
          description: "Quiet. A person may say how it goes on.",
          on: {
            resume: [
              { guard: "mayResumeComplete", target: "#finishing", actions: ["beginTurn", "finish"] },
              { guard: "mayResume", target: "#preparing", actions: ["beginTurn", "prepare"] },
            ],
            user_input: { actions: ["queueNext"] },
            input_delivered: { guard: "inputRefused", actions: ["dropInput"] },
            tool_result: { guard: "settlesOrphan", actions: ["settleCall"] },
            cancelled: { target: "#cancelled" },
            failed: { target: "#failed" },
            owner: { actions: ["note"] },
          },
        },
      },
    },
    done: {
      id: "done",
      description: "The turn is over. The conversation goes on in the same log.",
      on: {
        user_input: { target: "#preparing", actions: ["beginTurnWithInput", "prepare"] },
        input_delivered: {
          guard: "followUpDelivered",
          target: "#preparing",
          actions: ["beginTurnWithFollowUp", "prepare"],
        },
        owner: { actions: ["note"] },
      },
    },
    failed: {
      id: "failed",
      description: "The turn ended with an error. It can be resumed.",
      on: {
        resume: { guard: "mayResume", target: "#preparing", actions: ["beginTurn", "prepare"] },
        user_input: { target: "#preparing", actions: ["beginTurnWithInput", "prepare"] },
        input_delivered: { guard: "inputRefused", actions: ["dropInput"] },
        cancelled: { target: "#cancelled" },
        owner: { actions: ["note"] },
      },
    },
    cancelled: { id: "cancelled", type: "final", description: "Over for good." },
  },
});
