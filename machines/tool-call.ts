import { setup } from "xstate";
import { isCut, type Event } from "./events.ts";

/**
 * The statechart of one tool call, from its first streamed fragment to its one outcome. `step()` keeps one per call; the agent chart only
 * counts them. It is fed with the events of this call alone (and the `message` that completes or cuts the call).
 *
 * R7 One outcome: every way out of a working state is a final state, so a second `tool_result` is refused (a late one is a note).
 */

interface Args {
  readonly event: Event;
}

function outcomeIs(event: Event, outcome: string): boolean {
  return event.type === "tool_result" && event.data.late !== true && event.data.outcome === outcome;
}

export const toolCallGuards = {
  messageCut: ({ event }: Args) => event.type === "message" && isCut(event.data),
  needsApproval: ({ event }: Args) => event.type === "tool_call" && event.data.approval === "required",
  isApproved: ({ event }: Args) => event.type === "approval" && event.data.decision === "approve",
  isRejected: ({ event }: Args) => event.type === "approval" && event.data.decision === "reject",
  isRerun: ({ event }: Args) => event.type === "tool_start" && event.data.attempt > 1,
  isOk: ({ event }: Args) => outcomeIs(event, "ok"),
  isError: ({ event }: Args) => outcomeIs(event, "error"),
  wasRejected: ({ event }: Args) => outcomeIs(event, "rejected"),
  wasSkipped: ({ event }: Args) => outcomeIs(event, "skipped"),
  wasAborted: ({ event }: Args) => outcomeIs(event, "aborted"),
  wasTimeout: ({ event }: Args) => outcomeIs(event, "timeout"),
  isUnknown: ({ event }: Args) => outcomeIs(event, "unknown"),
};

const machineTypes: { events?: Event } = {};

export const toolCallMachine = setup({
  types: machineTypes,
  guards: toolCallGuards,
  actions: { note: () => {} },
}).createMachine({
  id: "tool_call",
  initial: "streaming",
  states: {
    streaming: {
      description: "Its arguments stream. Nothing of it counts yet.",
      on: {
        message: [{ guard: "messageCut", target: "dropped" }, { target: "complete" }],
      },
    },
    complete: {
      description: "Asked for by a complete message, not yet announced.",
      on: {
        tool_call: [{ guard: "needsApproval", target: "awaiting_approval" }, { target: "ready" }],
        tool_result: [
          { guard: "isError", target: "error" },
          { guard: "wasSkipped", target: "skipped" },
        ],
      },
    },
    awaiting_approval: {
      description: "Waits for a person.",
      on: {
        approval_request: { actions: "note" },
        approval: [
          { guard: "isApproved", target: "ready" },
          { guard: "isRejected", target: "refused" },
        ],
        tool_result: [
          { guard: "wasRejected", target: "rejected" },
          { guard: "wasSkipped", target: "skipped" },
        ],
      },
    },
    refused: {
      description: "A person said no.",
      on: {
        tool_result: [
          { guard: "wasRejected", target: "rejected" },
          { guard: "wasSkipped", target: "skipped" },
        ],
      },
    },
    ready: {
      description: "Valid and allowed. Waits for its turn.",
      on: {
        tool_start: { target: "running" },
        tool_result: [
          { guard: "isError", target: "error" },
          { guard: "wasSkipped", target: "skipped" },
        ],
      },
    },
    running: {
      description: "Executes.",
      on: {
        tool_result: [
          { guard: "isOk", target: "ok" },
          { guard: "isError", target: "error" },
          { guard: "wasAborted", target: "aborted" },
          { guard: "wasTimeout", target: "timeout" },
          { guard: "isUnknown", target: "unknown" },
        ],
        owner: { target: "orphaned" },
      },
    },
    orphaned: {
      description: "The process that executed it lost the run: nobody here knows how it ended.",
      on: {
        tool_start: { guard: "isRerun", target: "running" },
        tool_result: [
          { guard: "isOk", target: "ok" },
          { guard: "isError", target: "error" },
          { guard: "isUnknown", target: "unknown" },
        ],
      },
    },
    dropped: { type: "final", description: "Its message was cut: it never counted." },
    ok: { type: "final", description: "It answered." },
    error: { type: "final", description: "It failed, or its arguments were refused." },
    rejected: { type: "final", description: "A person said no." },
    skipped: { type: "final", description: "It never started." },
    aborted: { type: "final", description: "Stopped while it ran, and it said so." },
    timeout: { type: "final", description: "Out of time." },
    unknown: { type: "final", description: "It ran, and nobody knows how it ended." },
  },
});
