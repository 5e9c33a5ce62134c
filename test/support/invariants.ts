import { expect } from "vitest";
import { messageListProblem, step, initialState, encodeState, parseEvent, stateHash, isHot } from "rubato/machines";
import type { AgentState, Event } from "rubato/machines";
import { projectLog } from "./project-log.ts";

/**
 * Checks what must hold for every log, as numbered in the promises: R4, R7, R8, P11, P13, P17, P23, I1, I2, I3, I6, I9, I10, I12.
 * Answers the folded state.
 */
export function checkLog(events: readonly Event[]): AgentState {
  let state = initialState();
  let turn = 0;
  let epoch = 0;
  let ended: Event | undefined;
  const starts = new Set<string>();
  const outcomes = new Set<string>();
  const inputs = new Set<string>();
  const heard = new Set<string>();
  const texts = new Map<string, string>();

  for (const [index, event] of events.entries()) {
    const where = `seq ${event.seq} (${event.type})`;
    expect(event.seq, "I1").toBe(index + 1);
    const before = state;
    const result = step(state, event);
    expect(result.accepted ? "" : result.reason, `P6 ${where} folds`).toBe("");
    state = result.state;

    if (!isHot(event)) {
      expect(messageListProblem(state.messages), `R8 I9 ${where}`).toBeUndefined();
      expect(state.messages, `R8 projection ${where}`).toEqual(projectLog(events.slice(0, index + 1)));
    }
    if (state.turn !== turn) {
      turn = state.turn;
      ended = undefined;
    }
    const note =
      event.type === "custom" ||
      (event.type === "tool_result" && event.data.late === true) ||
      (event.type === "error" && event.data.source !== "model");
    if (!note && before.turn === state.turn && event.type !== "owner") {
      const refusal = event.type === "input_delivered" && !event.data.delivered;
      // A person says how a call ended that was left behind.
      const told = event.type === "tool_result" && event.data.from === "orphaned";
      const goesOn =
        told || event.type === "user_input" || event.type === "cancelled" || event.type === "failed" || refusal;
      if (ended !== undefined && !goesOn) expect.fail(`I3 ${where} after ${ended.type} in the same turn`);
    }

    switch (event.type) {
      case "interrupted":
        // With a resume already recorded it also begins the next turn.
        ended = state.value === "interrupted.paused" ? event : undefined;
        break;
      case "thinking":
      case "tool_start":
        expect(mayGoOn(events, index), `I10 R5 ${where}`).toBe(true);
        break;
      case "done":
      case "failed":
      case "cancelled":
        ended = event;
        break;
      default:
        break;
    }

    switch (event.type) {
      case "owner":
        expect(event.data.epoch, `I2 ${where}`).toBeGreaterThan(epoch);
        epoch = event.data.epoch;
        break;
      case "user_input":
        expect(inputs.has(event.data.id), `P23 one input per id ${where}`).toBe(false);
        inputs.add(event.data.id);
        break;
      case "input_delivered":
        expect(inputs.has(event.data.id) && !heard.has(event.data.id), `P23 one receipt ${where}`).toBe(true);
        heard.add(event.data.id);
        break;
      case "tool_start": {
        const { callId, attempt } = event.data;
        const key = `${callId}/${attempt}`;
        expect(starts.has(key), `P11 ${where}`).toBe(false);
        expect(attempt === 1 || orphaned(events, index, callId), `P11 only after its process died ${where}`).toBe(true);
        starts.add(key);
        break;
      }
      case "tool_result": {
        const { callId, from, late } = event.data;
        if (late === true) break;
        expect(outcomes.has(callId), `R7 one outcome ${where}`).toBe(false);
        outcomes.add(callId);
        const ran = from === "running" || from === "orphaned";
        expect(starts.has(`${callId}/1`), `I6 start before outcome ${where}`).toBe(ran);
        break;
      }
      case "token_stream": {
        if (event.data.kind !== "text") break;
        const key = `${event.data.messageId}/${event.data.attempt}`;
        texts.set(key, (texts.get(key) ?? "") + event.data.text);
        break;
      }
      case "message": {
        const streamed = texts.get(`${event.data.messageId}/${event.data.attempt}`) ?? "";
        expect(event.data.text.endsWith(streamed), `R4 text of ${where}`).toBe(true);
        break;
      }
      case "done":
      case "failed":
      case "cancelled":
      case "interrupted":
        expect(event.data.stateHash, `state hash ${where}`).toBe(stateHash(before));
        break;
      default:
        break;
    }
  }
  const waiting = state.inputs.map((input) => input.id);
  expect([...inputs].filter((id) => !heard.has(id)).sort(), "P23 every input is heard, refused or waits").toEqual(
    waiting.sort(),
  );
  const decoded = events.map((event) => parseEvent(JSON.parse(JSON.stringify(event))));
  expect(encodeState(fold(decoded)), "P6 I12").toBe(encodeState(state));
  return state;
}

/** Between the last start of this call and now another owner took the run. */
function orphaned(events: readonly Event[], index: number, callId: string): boolean {
  for (let at = index - 1; at >= 0; at--) {
    const event = events[at];
    if (event?.type === "owner") return true;
    if (event?.type === "tool_start" && event.data.callId === callId) return false;
  }
  return false;
}

/** I10 as it is written: looking back from a request or a start, no `interrupt` without `interrupted` and `resume` after it. */
function mayGoOn(events: readonly Event[], index: number): boolean {
  let interrupted = false;
  let resumed = false;
  for (let at = index - 1; at >= 0; at--) {
    const type = events[at]?.type;
    if (type === "interrupted") interrupted = true;
    if (type === "resume") resumed = true;
    if (type === "interrupt") return interrupted && resumed;
  }
  return true;
}

export function fold(events: readonly Event[], from: AgentState = initialState()): AgentState {
  return events.reduce((state, event) => step(state, event).state, from);
}
