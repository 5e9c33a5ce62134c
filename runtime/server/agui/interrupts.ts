import type { AgentState, ToolCallState } from "../../../machines/state.ts";
import { questionId } from "../spoken.ts";

/** What waits for a person, as AG-UI asks about it. */
export interface AguiInterrupt {
  readonly id: string;
  readonly reason: string;
  readonly message: string;
  readonly toolCallId?: string;
  readonly responseSchema: Readonly<Record<string, unknown>>;
  readonly expiresAt?: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/** What stands behind the call in the id of an interrupt that asks how the call ended. No hash of arguments looks like it. */
export const OUTCOME = "outcome";
/** What stands before the seq in the id of an interrupt that says that the run was stopped. */
export const STOPPED = "stopped:";

/** Everything that a run at rest waits for, at least one thing: what it says is not done, failed or cancelled. */
export function interruptsOf(state: AgentState, message: string): AguiInterrupt[] {
  if (state.status === "waiting") return state.pendingApprovals.map(approvalOf);
  return [...state.orphans.map(orphanOf), stopOf(state, message)];
}

function approvalOf({ callId, name, args, approval }: ToolCallState): AguiInterrupt {
  const { argsHash = "", expiresAt } = approval ?? {};
  return {
    // It binds the arguments that the person sees: with others in their place it answers nothing.
    id: questionId(callId, argsHash),
    reason: "tool_call",
    message: `${name} waits for your approval.`,
    toolCallId: callId,
    responseSchema: {
      type: "object",
      properties: {
        approved: { type: "boolean" },
        reason: { type: "string" },
        args: {},
        answer: { type: "string" },
        forRun: { type: "boolean" },
      },
      required: ["approved"],
    },
    ...(expiresAt === undefined || !isDate(expiresAt) ? {} : { expiresAt: new Date(expiresAt).toISOString() }),
    metadata: { toolCallName: name, args: args ?? null, argsHash },
  };
}

/** A clock of the program's own may say anything. */
function isDate(ms: number): boolean {
  return !Number.isNaN(new Date(ms).getTime());
}

function orphanOf({ callId, name }: ToolCallState): AguiInterrupt {
  return {
    id: questionId(callId, OUTCOME),
    reason: "rubato:unknown_outcome",
    message: `${name} was running when its process ended: nobody knows how it ended.`,
    toolCallId: callId,
    responseSchema: { type: "object", properties: { output: {}, error: { type: "string" } } },
    metadata: { toolCallName: name },
  };
}

function stopOf(state: AgentState, message: string): AguiInterrupt {
  const { limit } = state;
  const reason = state.status !== "interrupted" ? "not_running" : limit === undefined ? "interrupted" : "limit";
  return {
    id: `${STOPPED}${state.seq}`,
    reason: `rubato:${reason}`,
    message,
    responseSchema: {
      type: "object",
      properties: {
        instruction: { type: "string" },
        partial: { enum: ["keep", "continue", "discard"] },
        budget: { type: "object" },
      },
    },
    ...(limit === undefined ? {} : { metadata: { limit } }),
  };
}
