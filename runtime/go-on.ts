import { respond, type Command } from "../machines/command.ts";
import { isAtRest, type AgentState } from "../machines/state.ts";
import { newInputId } from "./input-id.ts";
import type { ResumeWay } from "./owned-run.ts";
import { definitionChange, type Definition } from "./recovery.ts";

type Resume = Extract<Command, { type: "resume" }>;

/** What resuming asks of a run that was just taken over. One that goes on by itself, or ends its stop, needs nothing but the instruction. */
export function goOn(state: AgentState, asked: Resume): Command | undefined {
  if (respond(state, asked).accepted) return asked;
  return asked.input === undefined
    ? undefined
    : {
        type: "send",
        ...asked.input,
        when: "step",
        ...(asked.caller === undefined ? {} : { caller: asked.caller }),
      };
}

/** What is left of a command once this process has the run. */
export function afterwards(state: AgentState, asked: Command): Command | undefined {
  if (!isUnderWay(state, asked)) return asked;
  return asked.type === "resume" ? goOn(state, asked) : undefined;
}

export function resumeOf(
  text: string | undefined,
  { partial = "keep", budget, caller }: Partial<ResumeWay> = {},
): Resume {
  return {
    type: "resume",
    by: "user",
    partial,
    ...(budget === undefined ? {} : { budget }),
    ...(caller === undefined ? {} : { caller }),
    ...(text === undefined ? {} : { input: { id: newInputId(), text: text.toWellFormed() } }),
  };
}

/** It is refused only because the run does it already: where nobody owns the run, it takes an owner all the same. */
export function isUnderWay(state: AgentState, asked: Command): boolean {
  const answer = respond(state, asked);
  if (answer.accepted || isAtRest(state)) return false;
  switch (asked.type) {
    case "resume":
      return answer.reason === "running" || answer.reason === "already_resuming";
    case "cancel":
      return answer.reason === "cancelling";
    default:
      return false;
  }
}

/** Why a run cannot be gone on with by this agent at all, whoever has it. */
export function refusalOf(
  { core, seq }: AgentState,
  definition: Definition,
  allowChanged: boolean,
): { readonly reason: string; readonly message: string } | undefined {
  const { start } = core;
  if (start?.fork !== undefined && seq < start.fork.seq) {
    const message = `It is a fork whose copy ends at seq ${seq} of ${start.fork.seq}: the process that made it died. Fork again.`;
    return { reason: "half_fork", message };
  }
  const message = start === undefined || allowChanged ? undefined : definitionChange(start.agent, definition);
  return message === undefined ? undefined : { reason: "changed", message };
}
