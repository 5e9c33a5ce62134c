import { isAtRest, type AgentState } from "../../../machines/state.ts";
import { isRunId } from "../../log/event-log.ts";
import type { Run } from "../../run.ts";
import { bodyOf } from "../body.ts";
import type { Command } from "../commands.ts";
import type { Core } from "../core.ts";
import {
  beginConversation,
  checkMessageId,
  checkUnchanged,
  noRoom,
  openConversation,
  performAll,
  stateBehind,
  streamTurn,
} from "../protocol-turn.ts";
import { isRefusal, refuse, type Refusal } from "../refusal.ts";
import { SAFE_HEADERS, type Asked } from "../reply.ts";
import type { ServedRun } from "../served-runs.ts";
import { spokenIds, type Said } from "../spoken.ts";
import { stretchBefore, supersededIn } from "../stretch.ts";
import { answersOf, historyOf, lastSaid, uiInputSchema, type UiInput } from "./input.ts";
import { UiTranslator } from "./translator.ts";

/**
 * POST /ui/chat. A chat that is no run yet begins one with the last message; to one that is, the last message is said unless it was said before (by
 * its id), and the answers to approvals are given. The same request again, after a cut line, says nothing twice and streams the same message anew.
 * `regenerate-message` resumes a turn that was stopped or failed, without its partial answer. An answer that is complete stays in the log: who wants
 * another one forks the run.
 */
export async function uiChat(core: Core, asked: Asked): Promise<Response | Refusal> {
  const input = await bodyOf(asked.request, uiInputSchema, core.settings.limits.bodyBytes);
  if (isRefusal(input)) return input;
  if (!isRunId(input.id)) {
    const what = "1 to 128 characters of A-Z a-z 0-9 . _ -, not beginning with a dot";
    return refuse(400, "invalid_request", `id: the id of the chat is that of the run, ${what}.`);
  }
  const said = lastSaid(input);
  if (isRefusal(said)) return said;
  const badId = said === undefined ? undefined : checkMessageId(said.id);
  if (badId !== undefined) return badId;
  const full = noRoom(core, asked.request, "ui", input.id);
  if (full !== undefined) return full;
  return (await core.runs.find(input.id)) === undefined
    ? begin(core, asked, input, said)
    : goOn(core, asked, input, said);
}

/** GET /ui/chat/:id/stream: the message that is being made, from its beginning. 204 where the run rests. */
export async function uiStream(core: Core, asked: Asked): Promise<Response | Refusal> {
  const found = await core.runFor(asked.request, "stream", asked.runId);
  if (isRefusal(found)) return found;
  const { served } = found;
  const run = await served.agent.open(served.runId);
  if (isAtRest(run.state) || !served.head.owned) {
    return new Response(null, { status: 204, headers: { ...SAFE_HEADERS, ...asked.headers } });
  }
  return stretch(core, asked, run, served, served.head.seq + 1);
}

async function begin(core: Core, asked: Asked, input: UiInput, said: Said | undefined): Promise<Response | Refusal> {
  const conversation = { runId: input.id, agent: input.agent, said, history: historyOf(input) };
  const begun = await beginConversation(core, asked, { what: "chat", ...conversation });
  return isRefusal(begun) ? begun : stretch(core, asked, begun.run, begun.served, 1);
}

async function goOn(core: Core, asked: Asked, input: UiInput, said: Said | undefined): Promise<Response | Refusal> {
  const { id: runId } = input;
  const opened = await openConversation(core, asked, { what: "chat", runId, agent: input.agent });
  if (isRefusal(opened)) return opened;
  const { run } = opened;
  const { state } = run;
  // Its process died in the middle: to its client it was stopped.
  const left = !opened.served.head.owned && !isAtRest(state);
  const commands = commandsOf(input, state, left, said);
  if (isRefusal(commands)) return commands;
  const performed = await performAll(core, asked.request, runId, commands);
  if (isRefusal(performed)) return performed;
  const served = { ...opened.served, head: await opened.served.log.head(runId) };
  const { seq } = performed;
  if (seq === undefined) return stretch(core, asked, run, served, await insideLast(served, run.state));
  // Its client has the message up to here.
  if (said === undefined) return rest(core, asked, run, served, seq);
  return stretch(core, asked, run, served, seq);
}

function commandsOf(input: UiInput, state: AgentState, left: boolean, said: Said | undefined): Command[] | Refusal {
  const { commands, stale } = answersOf(input, state);
  if (said === undefined) {
    if (commands.length > 0) return commands;
    return stale
      ? refuse(409, "not_waiting", "Nothing waits for that answer any more. Load the chat again.")
      : refuse(400, "no_user_message", "The last message is not a person's, and it answers nothing that was asked.");
  }
  const heard = spokenIds(state).has(said.id);
  if (!heard) {
    // Who says something else instead of answering does not want what waits.
    const when = input.when ?? (state.status === "waiting" && commands.length === 0 ? "now" : "step");
    return [...commands, { verb: "send", text: said.text, id: said.id, when }];
  }
  const changed = checkUnchanged(state, said);
  if (changed !== undefined) return changed;
  if (input.trigger === "submit-message") return commands;
  if (left || state.status === "interrupted" || state.status === "failed")
    return [{ verb: "resume", partial: "discard" }];
  return refuse(
    409,
    "not_regenerated",
    "Only a turn that was stopped or failed is made again. For another answer fork the run before this one.",
  );
}

/** A seq within the last stretch of work: of its end, where the run rests. */
async function insideLast({ log, runId, head }: ServedRun, state: AgentState): Promise<number> {
  const rests = isAtRest(state) && state.status !== "waiting";
  return rests ? stretchBefore(log, runId, head.seq + 1) : head.seq + 1;
}

/** The whole message of the stretch that has this seq. */
async function stretch(
  core: Core,
  asked: Asked,
  run: Run,
  served: ServedRun,
  seq: number,
): Promise<Response | Refusal> {
  const { log, runId } = served;
  const behind = await stretchBefore(log, runId, seq);
  const superseded = await supersededIn(log, runId, behind);
  const state = await stateBehind(served, behind);
  return open(core, asked, run, served, state, { messageId: `${runId}.${behind}`, superseded, goesOn: false });
}

/** What comes from this seq on, for a client that has the message before it. */
async function rest(core: Core, asked: Asked, run: Run, served: ServedRun, seq: number): Promise<Response | Refusal> {
  const messageId = `${served.runId}.${await stretchBefore(served.log, served.runId, seq)}`;
  const state = await stateBehind(served, seq - 1);
  return open(core, asked, run, served, state, { messageId, superseded: new Set(), goesOn: true });
}

function open(
  core: Core,
  asked: Asked,
  run: Run,
  served: ServedRun,
  state: AgentState,
  about: { readonly messageId: string; readonly superseded: ReadonlySet<string>; readonly goesOn: boolean },
): Response | Refusal {
  const said = new URL(asked.request.url).searchParams.get("whole");
  const translator = new UiTranslator({ ...about, whole: said !== null && said !== "false" && said !== "0" });
  const headers = { "x-vercel-ai-ui-message-stream": "v1" };
  return streamTurn(core, asked, { kind: "ui", run, served, state, translator, last: "data: [DONE]\n\n", headers });
}
