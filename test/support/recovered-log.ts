import { derive, initialState, respond, step, type AgentState, type Draft, type Event } from "rubato/machines";
import { seal, unknownDrafts } from "../../machines/derive.ts";

/**
 * What a prefix of a log becomes when another process takes it over, by the charts alone: `owner` and whatever follows from it, a stop where
 * calls were left behind, and where the run then rests, a plain `resume`. Requests and tools are not begun.
 */
export function recoveredLog(prefix: readonly Event[], epoch: number): Event[] {
  const log = [...prefix];
  let state: AgentState = initialState();
  for (const event of prefix) state = step(state, event).state;

  function record(drafts: readonly Draft[]): void {
    for (const draft of drafts) {
      const event: Event = { timestamp: 1, runId: state.runId, ...seal(state, draft), seq: state.seq + 1 };
      const result = step(state, event);
      if (!result.accepted) return;
      state = result.state;
      log.push(event);
      todo.push(...result.effects);
    }
  }
  const todo: Parameters<typeof derive>[1][] = [];
  function settle(): void {
    for (let effect = todo.shift(); effect !== undefined; effect = todo.shift()) {
      // A stopped run begins no call again: whoever takes it over settles what was left behind as unknown.
      if (effect === "salvage") record(unknownDrafts(state));
      else record(derive(state, effect, { model: "m", interruptedForMs: 0 }));
    }
  }

  const recoveries = state.core.recoveries + 1;
  record([{ type: "owner", data: { epoch, who: "test", why: "resume", recoveries } }]);
  // At once, as a command that makes its process the owner: what the new owner does by itself comes after it.
  if (state.orphans.length > 0) {
    const stopped = respond(state, { type: "interrupt", by: "user", reason: "orphans", mode: "now" });
    if (stopped.accepted) record(stopped.drafts);
  }
  settle();
  const answer = respond(state, { type: "resume", by: "user", partial: "keep" });
  if (answer.accepted) record(answer.drafts);
  settle();
  return log;
}
