import { cancelDrafts, unknownDrafts } from "./derive.ts";
import type { Draft, EventData, Fault, InterruptMode, Json, PartialPolicy } from "./events.ts";
import { canonical, hashText } from "./hash.ts";
import { wouldSuffice } from "./limits.ts";
import type { AgentState, ToolCallState } from "./state.ts";
import { itemsOf } from "./timeline.ts";
import type { TraceHeaders } from "./trace-context.ts";

/** What a person or a program asks of a run. */
export type Command =
  | { readonly type: "interrupt"; readonly by: string; readonly reason: string; readonly mode: InterruptMode }
  | { readonly type: "cancel"; readonly by: string; readonly reason: string }
  | {
      readonly type: "resume";
      readonly by: string;
      readonly partial: PartialPolicy;
      readonly input?: { readonly id: string; readonly text: string };
      readonly budget?: Readonly<Record<string, number>>;
      /** Of whoever asks, as of all below. */
      readonly caller?: TraceHeaders;
    }
  | {
      readonly type: "send";
      readonly id: string;
      readonly text: string;
      readonly when: "now" | "step" | "done";
      readonly caller?: TraceHeaders;
    }
  | {
      readonly type: "approve";
      readonly by: string;
      readonly callId: string;
      /** What it is to run with instead. Validated by whoever asks: this floor knows no tools. */
      readonly args?: Json;
      readonly answer?: string;
      readonly forRun?: boolean;
      /** Of the arguments that the person saw. */
      readonly argsHash?: string;
      /** When it is said, ms since 1970: an approval that came too late is none. */
      readonly at?: number;
      readonly caller?: TraceHeaders;
    }
  | {
      readonly type: "reject";
      readonly by: string;
      readonly callId: string;
      readonly reason: string;
      readonly at?: number;
      readonly caller?: TraceHeaders;
    }
  | { readonly type: "settle"; readonly callId: string; readonly result: CallResult };

/** How a call ended that was left behind, as somebody found out. */
export type CallResult = { readonly output: Json } | { readonly error: Fault };

/** Why a command is not accepted. Answers, not exceptions: the log stays as it was. */
export type Refusal =
  | "not_started"
  | "running"
  | "already_interrupted"
  | "already_resuming"
  | "done"
  | "failed"
  | "cancelling"
  | "cancelled"
  | "limit"
  | "not_waiting"
  | "expired"
  | "other_args"
  | "not_unknown";

/**
 * The one clear answer of a state to a command (P19). Accepted: the events to record, in order and as one batch; none where the command was
 * already given (`seq` is then the event that did it). The first event is the command's own, the others have it as their cause.
 */
export type CommandAnswer =
  | { readonly accepted: true; readonly drafts: readonly Draft[]; readonly seq?: number }
  | { readonly accepted: false; readonly reason: Refusal };

/** Decides what a command means in a state. Pure. */
export function respond(state: AgentState, command: Command): CommandAnswer {
  switch (command.type) {
    case "interrupt":
      return interrupt(state, command);
    case "cancel":
      return cancel(state, command);
    case "resume":
      return resume(state, command);
    case "send":
      return send(state, command);
    case "approve":
    case "reject":
      return answerApproval(state, command);
    case "settle":
      return settle(state, command);
  }
}

type Of<Type extends Command["type"]> = Extract<Command, { type: Type }>;
type Phase = "idle" | "working" | "draining" | "paused" | "done" | "failed" | "cancelled";

function phaseOf({ value }: AgentState): Phase {
  switch (value) {
    case "idle":
    case "done":
    case "failed":
    case "cancelled":
      return value;
    case "interrupted.draining":
      return "draining";
    case "interrupted.paused":
      return "paused";
    default:
      return "working";
  }
}

function interrupt(state: AgentState, { by, reason, mode }: Of<"interrupt">): CommandAnswer {
  const { context, interrupt: earlier } = state.core;
  switch (phaseOf(state)) {
    case "idle":
      return refuse("not_started");
    case "paused":
      return refuse("already_interrupted");
    case "done":
      return refuse("done");
    case "failed":
      return refuse("failed");
    case "cancelled":
      return refuse("cancelled");
    case "draining":
    case "working": {
      if (context.cancelling) return refuse("cancelling");
      const stronger = mode === "now" && context.interrupt !== "now";
      if (context.interrupt === "none" || stronger || context.resuming !== "no") {
        return accept([{ type: "interrupt", data: { by, reason, mode } }]);
      }
      return { accepted: true, drafts: [], ...(earlier === undefined ? {} : { seq: earlier.seq }) };
    }
  }
}

function cancel(state: AgentState, { by, reason }: Of<"cancel">): CommandAnswer {
  switch (phaseOf(state)) {
    case "done":
      return refuse("done");
    case "cancelled":
      return refuse("cancelled");
    case "idle":
    case "paused":
    case "failed":
      return accept([...unknownDrafts(state), ...cancelDrafts(state, by, reason)]);
    case "draining":
    case "working":
      if (state.core.context.cancelling) return refuse("cancelling");
      return accept([{ type: "interrupt", data: { by, reason, mode: "now", cancel: true } }]);
  }
}

function resume(state: AgentState, command: Of<"resume">): CommandAnswer {
  const { context } = state.core;
  switch (phaseOf(state)) {
    case "idle":
      return refuse("not_started");
    case "done":
      return refuse("done");
    case "cancelled":
      return refuse("cancelled");
    case "failed":
      return accept(resumeDrafts(command));
    case "paused":
      if (context.limit === "budget" && !(command.budget !== undefined && wouldSuffice(state, command.budget)))
        return refuse("limit");
      // Who resumes without saying how such a call ended leaves it to the model, as unknown.
      return accept([...unknownDrafts(state), ...resumeDrafts(command)]);
    case "draining":
    case "working":
      if (context.cancelling) return refuse("cancelling");
      if (context.interrupt === "none") return refuse("running");
      if (context.resuming === "recorded") return refuse("already_resuming");
      return accept(resumeDrafts(command));
  }
}

/** An instruction is an input like any other: it has an id, its place in the queue and its receipt. Text that follows a message ends it. */
function resumeDrafts({ by, partial, input, budget, caller }: Of<"resume">): Draft[] {
  const policy: PartialPolicy = input !== undefined && partial === "continue" ? "keep" : partial;
  const drafts: Draft[] = [
    {
      type: "resume",
      data: {
        by,
        partial: policy,
        ...(input === undefined ? {} : { inputId: input.id }),
        ...(budget === undefined ? {} : { budget: { ...budget } }),
        ...caller,
      },
    },
  ];
  if (input !== undefined) drafts.push({ type: "user_input", data: { ...input, when: "step" } });
  return drafts;
}

function send(state: AgentState, { id, text, when, caller }: Of<"send">): CommandAnswer {
  const { context, inputIds } = state.core;
  const known = itemsOf(inputIds).find((input) => input.id === id);
  if (known !== undefined) return { accepted: true, drafts: [], seq: known.seq };
  const input: Draft = { type: "user_input", data: { id, text, when, ...caller } };
  switch (phaseOf(state)) {
    case "cancelled":
      return refuse("cancelled");
    case "idle":
    case "done":
    case "failed":
      return accept([input]);
    case "paused":
      if (context.limit === "budget") return accept([input]);
      return accept([
        ...unknownDrafts(state),
        input,
        { type: "resume", data: { by: "input", partial: "keep", inputId: id } },
      ]);
    case "draining":
    case "working":
      if (context.cancelling) return refuse("cancelling");
      if (when !== "now" || context.interrupt === "now") return accept([input]);
      return accept([
        input,
        { type: "interrupt", data: { by: "input", reason: "redirected", mode: "now", redirect: id } },
      ]);
  }
}

/** The hash that an approval binds: of the arguments as they are to run. */
export function hashArgs(args: Json): string {
  return hashText(canonical(args));
}

/** An approval is good for one call with the arguments that it names, and only in time. */
function answerApproval(state: AgentState, command: Of<"approve" | "reject">): CommandAnswer {
  const call = state.core.calls.find((open) => open.callId === command.callId);
  if (call?.phase !== "awaiting_approval") return refuse("not_waiting");
  if (isExpired(call, command.at)) return refuse("expired");
  const { callId, by, caller } = command;
  if (command.type === "reject") {
    const { reason } = command;
    return accept([{ type: "approval", data: { callId, by, decision: "reject", reason, ...caller } }]);
  }
  const { args, answer, forRun = false, argsHash } = command;
  const asked = call.approval?.argsHash ?? "";
  if (argsHash !== undefined && argsHash !== asked) return refuse("other_args");
  const drafts: Draft[] = [
    {
      type: "approval",
      data: {
        callId,
        by,
        decision: "approve",
        ...(args === undefined ? {} : { args }),
        argsHash: args === undefined ? asked : hashArgs(args),
        ...(answer === undefined ? {} : { answer }),
        ...(forRun ? { forRun: true } : {}),
        ...caller,
      },
    },
  ];
  if (!forRun) return accept(drafts);
  for (const other of state.core.calls) {
    if (other === call || other.name !== call.name || other.phase !== "awaiting_approval") continue;
    if (isExpired(other, command.at)) continue;
    const { callId: also, approval } = other;
    drafts.push({
      type: "approval",
      data: { callId: also, by, decision: "approve", argsHash: approval?.argsHash ?? "" },
    });
  }
  return accept(drafts);
}

export function isExpired({ approval }: ToolCallState, at: number | undefined): boolean {
  return at !== undefined && approval?.expiresAt !== undefined && approval.expiresAt <= at;
}

function settle(state: AgentState, { callId, result }: Of<"settle">): CommandAnswer {
  const call = state.orphans.find((open) => open.callId === callId);
  if (call === undefined) return refuse("not_unknown");
  const { attempt } = call;
  const told = { callId, attempt, from: "orphaned" } satisfies Partial<EventData<"tool_result">>;
  return accept([
    "output" in result
      ? { type: "tool_result", data: { ...told, outcome: "ok", output: result.output } }
      : { type: "tool_result", data: { ...told, outcome: "error", error: result.error } },
  ]);
}

function accept(drafts: readonly Draft[]): CommandAnswer {
  return { accepted: true, drafts };
}

function refuse(reason: Refusal): CommandAnswer {
  return { accepted: false, reason };
}
