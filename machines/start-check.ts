import type { Event, EventOf } from "./events.ts";
import type { AgentState } from "./state.ts";

/**
 * Holds the starts of a log to their rules, by the events alone:
 *
 * I6 R7 One start per (call, attempt), at most one outcome per call, in this order; a late result only where there is an outcome.
 * P11 A call starts again only after an owner lost it, with the same name and key.
 * I10 R5 From `interrupt` until both `interrupted` and `resume` no request and no tool starts.
 */
export interface StartCheck {
  /** What is wrong with the next event. `before` is the state that it was recorded in. */
  take(before: AgentState, event: Event): string | undefined;
}

interface Started {
  readonly name: string;
  readonly key: string;
  readonly attempt: number;
  lost: boolean;
}

export function startCheck(): StartCheck {
  const open = new Map<string, Started>();
  const settled = new Set<string>();
  let stop: { interrupted: boolean; resumed: boolean } | undefined;

  function start({ core }: AgentState, { data }: EventOf<"tool_start">): string | undefined {
    const { callId, attempt, name, idempotencyKey } = data;
    const before = open.get(callId);
    if (settled.has(callId)) return `call "${callId}" has an outcome already (I6)`;
    if (core.calls.some((call) => call.callId === callId && call.name !== name)) {
      return `it starts "${name}" for call "${callId}", which asked for another tool`;
    }
    if (before === undefined) {
      if (attempt !== 1) return `call "${callId}" starts as attempt ${attempt} and never started before (P11)`;
    } else {
      if (!before.lost || attempt !== before.attempt + 1) return `call "${callId}" starts twice (P11)`;
      if (before.key !== idempotencyKey) return `call "${callId}" starts again with another key (P11)`;
    }
    if (!idempotencyKey.endsWith(`:${callId}`)) return `its key is not one of call "${callId}"`;
    open.set(callId, { name, key: idempotencyKey, attempt, lost: false });
    return undefined;
  }

  function settle({ data }: EventOf<"tool_result">): string | undefined {
    const { callId, from, late, attempt } = data;
    if (late === true) {
      return settled.has(callId) ? undefined : `call "${callId}" has no outcome that it could be late for (P15)`;
    }
    if (settled.has(callId)) return `call "${callId}" has an outcome already (I6)`;
    const started = open.get(callId);
    const ran = from === "running" || from === "orphaned";
    if (ran !== (started !== undefined) || (started?.attempt ?? 0) !== attempt) {
      return `call "${callId}" is settled as "${from}", attempt ${attempt}, and its last start was ${started?.attempt ?? 0} (I6)`;
    }
    open.delete(callId);
    settled.add(callId);
    return undefined;
  }

  return {
    take(before, event) {
      switch (event.type) {
        case "interrupt":
          stop = { interrupted: false, resumed: false };
          return undefined;
        case "interrupted":
          if (stop !== undefined) stop.interrupted = true;
          return undefined;
        case "resume":
          if (stop !== undefined) stop.resumed = true;
          return undefined;
        case "owner":
          for (const started of open.values()) started.lost = true;
          return undefined;
        case "thinking":
        case "tool_start":
          if (stop !== undefined && !(stop.interrupted && stop.resumed)) {
            return "it comes after an interrupt that was not both effective and resumed (I10)";
          }
          return event.type === "tool_start" ? start(before, event) : undefined;
        case "tool_result":
          return settle(event);
        default:
          return undefined;
      }
    },
  };
}
