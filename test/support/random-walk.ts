import * as fc from "fast-check";
import { initialState, step, type AgentState, type Draft, type Event } from "rubato/machines";
import { alphabet, eventOf } from "./alphabet.ts";

/**
 * Random logs that `step()` accepted: at each step a random choice among events made to fit the state (ids, offsets and counts that a run would
 * have), so that walks get deep, together with events that do not fit, so that refusals are met as well.
 */
export function randomLog(choices: readonly number[]): Event[] {
  let state = initialState();
  const log: Event[] = [];
  for (const choice of choices) {
    // What ends a run for good is tried seldom, so that walks get deep.
    const drafts = fitting(state).filter((draft) => choice % 11 === 0 || !endsTheRun(draft));
    for (let tries = 0; tries < drafts.length; tries++) {
      const draft = drafts[(choice + tries * 7) % drafts.length];
      if (draft === undefined) continue;
      const event = eventOf(draft, state.seq + 1);
      const result = step(state, event);
      if (!result.accepted) continue;
      state = result.state;
      log.push(event);
      break;
    }
  }
  return log;
}

function endsTheRun(draft: Draft): boolean {
  return draft.type === "cancelled" || (draft.type === "interrupt" && draft.data.cancel === true);
}

export const choices = fc.array(fc.nat({ max: 100_000 }), { minLength: 20, maxLength: 150, size: "max" });

/** Every event of the alphabet with the ids that this state knows. */
function fitting(state: AgentState): Draft[] {
  const { partial, core, seq } = state;
  const nextStep = core.retry?.step ?? state.step + 1;
  const ids = { messageId: partial?.messageId ?? `m${state.step}`, attempt: partial?.attempt ?? 1 };
  if (seq === 0) return alphabet().filter((draft) => draft.type === "run_start");
  return alphabet().flatMap((draft): Draft[] => {
    switch (draft.type) {
      case "user_input":
        return [{ ...draft, data: { ...draft.data, id: `i${seq}`, text: `input ${seq}` } }];
      case "input_delivered":
        return core.inputs.map(({ id, queue }) => ({ ...draft, data: { ...draft.data, id, queue, step: nextStep } }));
      case "thinking": {
        const continues = partial !== undefined && partial.base !== "";
        const messageId = continues ? partial.messageId : `m${nextStep}`;
        const attempt = core.retry?.attempt ?? (continues ? partial.attempt + 1 : 1);
        return [{ ...draft, data: { ...draft.data, step: nextStep, messageId, attempt } }];
      }
      case "token_stream":
        return [
          { ...draft, data: { ...draft.data, ...ids, text: `t${seq} `, offset: partial?.text.length ?? 0 } },
          {
            ...draft,
            data: { ...draft.data, ...ids, kind: "reasoning", text: "r", offset: partial?.reasoning.length ?? 0 },
          },
        ];
      case "tool_call_delta":
        return [{ ...draft, data: { ...draft.data, ...ids, callId: `${state.step}.0`, args: "{" } }];
      case "message":
        return [
          {
            ...draft,
            data: {
              ...draft.data,
              ...ids,
              step: Math.max(1, state.step),
              text: partial?.text ?? "",
              calls: draft.data.calls.map((call, index) => ({ ...call, callId: `${state.step}.${index}` })),
            },
          },
        ];
      case "tool_call":
        return core.calls.map(({ callId }) => ({ ...draft, data: { ...draft.data, callId } }));
      case "approval_request":
        return core.calls.map(({ callId }) => ({ ...draft, data: { ...draft.data, callId } }));
      case "approval":
        return core.calls.map(({ callId }) => ({ ...draft, data: { ...draft.data, callId } }));
      case "tool_start":
        return core.calls.map(({ callId, attempt }) => ({
          ...draft,
          data: { ...draft.data, callId, attempt: attempt + 1 },
        }));
      case "tool_result":
        return core.calls.flatMap(({ callId, attempt }) =>
          (["ok", "error", "rejected", "skipped", "aborted", "timeout", "unknown"] as const).map((outcome): Draft => ({
            ...draft,
            data: { ...draft.data, callId, attempt, outcome, output: { seq } },
          })),
        );
      case "gap":
        return [{ ...draft, data: { ...draft.data, from: seq + 1, to: seq + 1 } }];
      case "owner":
        return [
          { ...draft, data: { ...draft.data, recoveries: Math.min(draft.data.recoveries, core.recoveries + 1) } },
        ];
      case "retry":
        return [{ ...draft, data: { ...draft.data, step: Math.max(1, state.step), attempt: ids.attempt + 1 } }];
      default:
        return [draft];
    }
  });
}
