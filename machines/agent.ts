import { assign, setup } from "xstate";
import {
  agentGuards,
  agentUpdates,
  copyOf,
  INITIAL_CONTEXT,
  type ChartContext,
  type ContextUpdate,
} from "./agent-rules.ts";
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
  "refuse_inputs",
  "recover",
  "salvage",
  "schedule_retry",
  "cancel_timers",
] as const;
export type EffectName = (typeof EFFECTS)[number];

const machineTypes: { context?: ChartContext; events?: Event } = {};
const effect = (): void => {};

/** An update as XState takes it: the context of before stays as it was. */
function updated(update: ContextUpdate): (args: { context: ChartContext; event: Event }) => ChartContext {
  return ({ context, event }) => {
    const draft = copyOf(context);
    update(draft, event);
    return draft;
  };
}

const agentSetup = setup({
  types: machineTypes,
  guards: agentGuards,
  actions: {
    startRun: assign(updated(agentUpdates.startRun)),
    beginTurn: assign(updated(agentUpdates.beginTurn)),
    beginTurnWithInput: assign(updated(agentUpdates.beginTurnWithInput)),
    beginTurnWithFollowUp: assign(updated(agentUpdates.beginTurnWithFollowUp)),
    queueInput: assign(updated(agentUpdates.queueInput)),
    queueNext: assign(updated(agentUpdates.queueNext)),
    queueForResume: assign(updated(agentUpdates.queueForResume)),
    deliverInput: assign(updated(agentUpdates.deliverInput)),
    dropInput: assign(updated(agentUpdates.dropInput)),
    beginRequest: assign(updated(agentUpdates.beginRequest)),
    endAnswer: assign(updated(agentUpdates.endAnswer)),
    cutAnswer: assign(updated(agentUpdates.cutAnswer)),
    announceCall: assign(updated(agentUpdates.announceCall)),
    answerApproval: assign(updated(agentUpdates.answerApproval)),
    startCall: assign(updated(agentUpdates.startCall)),
    settleCall: assign(updated(agentUpdates.settleCall)),
    requestInterrupt: assign(updated(agentUpdates.requestInterrupt)),
    resumeLater: assign(updated(agentUpdates.resumeLater)),
    tripLimit: assign(updated(agentUpdates.tripLimit)),
    noteLimit: assign(updated(agentUpdates.noteLimit)),
    rest: assign(updated(agentUpdates.rest)),
    loseCalls: assign(updated(agentUpdates.loseCalls)),
    stopRecovered: assign(updated(agentUpdates.stopRecovered)),
    note: assign(updated(agentUpdates.note)),
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
    refuse_inputs: effect,
    recover: effect,
    salvage: effect,
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

/** A new owner ends a stop that was asked for, stops a fork, and ends a run that never gets any further. Otherwise the run goes on. */
const recovered = agentSetup.createStateConfig({
  on: {
    owner: [
      {
        guard: "recoveredInterrupted",
        target: "#draining",
        actions: ["stopRecovered", "skip", "salvage", "settle"],
      },
      { guard: "recoveredTooOften", target: "#draining", actions: ["stopRecovered", "skip", "salvage", "settle"] },
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
            owner: [...recovered.on.owner, { actions: ["prepare"] }],
            input_delivered: { guard: "inputWaits", actions: ["deliverInput"] },
            thinking: { guard: "maySend", target: "#requesting", actions: ["beginRequest", "request"] },
            limit: { guard: "maySend", target: "#draining", actions: ["noteLimit", "settle"] },
            interrupt: { target: "#draining", actions: ["requestInterrupt", "settle"] },
          },
        },
        requesting: {
          id: "requesting",
          description: "The request is out, nothing came back yet.",
          on: {
            token_stream: { target: "#streaming" },
            tool_call_delta: { target: "#streaming" },
            gap: { target: "#streaming" },
            owner: [...recovered.on.owner, { target: "#preparing", actions: ["prepare"] }],
            ...answering.on,
          },
        },
        streaming: {
          id: "streaming",
          description: "The answer streams.",
          on: {
            owner: [...recovered.on.owner, { target: "#preparing", actions: ["prepare"] }],
            ...answering.on,
          },
        },
        backoff: {
          id: "backoff",
          description: "A failed request waits for its next attempt.",
          on: {
            owner: [...recovered.on.owner, { actions: ["schedule_retry"] }],
            retry_due: { target: "#preparing", actions: ["prepare"] },
            deadline: [
              { guard: "isWallTime", target: "#preparing", actions: ["cancel_timers", "prepare"] },
              { actions: ["note"] },
            ],
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
            owner: [...recovered.on.owner, { actions: ["finish"] }],
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
        owner: [...recovered.on.owner, { actions: ["loseCalls", "salvage", "dispatch"] }],
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
            owner: { actions: ["stopRecovered", "skip", "salvage", "settle"] },
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
        input_delivered: [
          {
            guard: "followUpDelivered",
            target: "#preparing",
            actions: ["beginTurnWithFollowUp", "prepare"],
          },
          { guard: "inputRefused", actions: ["dropInput"] },
        ],
        owner: [
          { guard: "forkedWithFollowUps", actions: ["refuse_inputs"] },
          { guard: "followUpWaits", actions: ["follow_up"] },
          { actions: ["note"] },
        ],
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
