import { isRunId } from "../../log/event-log.ts";
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
import type { Asked } from "../reply.ts";
import { spokenIds, type Said } from "../spoken.ts";
import { aguiInputSchema, commandsOf, historyOf, ignoredOf, lastSaid, reasoningOf, type AguiInput } from "./input.ts";
import { AguiTranslator, type AguiRequest } from "./translator.ts";

/**
 * POST /agui and /agui/:agent. A thread that is no run yet begins one with the last message; to one that is, the last message is said unless it was
 * said before (by its id), and the answers to interrupts are given. A request that says nothing new attaches: a snapshot of what there is, then what
 * comes until the run rests. So after a cut line, and after a reload with an empty list of messages, the client sends its request again.
 */
export async function agui(core: Core, asked: Asked): Promise<Response | Refusal> {
  const { request } = asked;
  const input = await bodyOf(request, aguiInputSchema, core.settings.limits.bodyBytes);
  if (isRefusal(input)) return input;
  if (!isRunId(input.threadId)) {
    const what = "1 to 128 characters of A-Z a-z 0-9 . _ -, not beginning with a dot";
    return refuse(400, "invalid_request", `threadId: it is the id of the run, ${what}.`);
  }
  const said = lastSaid(input);
  if (isRefusal(said)) return said;
  const badId = said === undefined ? undefined : checkMessageId(said.id);
  if (badId !== undefined) return badId;
  const full = noRoom(core, request, "agui", input.threadId);
  if (full !== undefined) return full;
  const known = (await core.runs.find(input.threadId)) !== undefined;
  return known ? goOn(core, asked, input, said) : begin(core, asked, input, said);
}

async function begin(core: Core, asked: Asked, input: AguiInput, said: Said | undefined): Promise<Response | Refusal> {
  const conversation = { runId: input.threadId, agent: asked.agent, said, history: historyOf(input) };
  const begun = await beginConversation(core, asked, { what: "thread", ...conversation });
  if (isRefusal(begun)) return begun;
  const { run, served } = begun;
  const translator = new AguiTranslator(requestOf(input, said, ignoredOf(input, true)));
  return streamTurn(core, asked, { kind: "agui", run, served, state: await stateBehind(served, 0), translator });
}

async function goOn(core: Core, asked: Asked, input: AguiInput, said: Said | undefined): Promise<Response | Refusal> {
  const { threadId: runId } = input;
  const opened = await openConversation(core, asked, { what: "thread", runId, agent: asked.agent });
  if (isRefusal(opened)) return opened;
  const { run } = opened;
  const { state } = run;
  const heard = said !== undefined && spokenIds(state).has(said.id);
  const changed = heard ? checkUnchanged(state, said) : undefined;
  if (changed !== undefined) return changed;
  const commands = commandsOf(input, state, heard ? undefined : said);
  if (isRefusal(commands)) return commands;
  const performed = await performAll(core, asked.request, runId, commands);
  if (isRefusal(performed)) return performed;
  const head = await opened.served.log.head(runId);
  const served = { ...opened.served, head };
  const refused = performed.refused.map((value) => ({ name: "rubato.refused", value: { ...value } }));
  const translator = new AguiTranslator(
    requestOf(input, isInstruction(commands) ? undefined : said, [...ignoredOf(input, false), ...refused]),
  );
  const from = performed.seq === undefined ? head.seq : performed.seq - 1;
  return streamTurn(core, asked, { kind: "agui", run, served, state: await stateBehind(served, from), translator });
}

/** The text of the message is that of a resume, which the run hears under an id of its own. */
function isInstruction(commands: readonly Command[]): boolean {
  return commands.some((command) => command.verb === "resume" && command.instruction !== undefined);
}

function requestOf(input: AguiInput, said: Said | undefined, notices: AguiRequest["notices"]): AguiRequest {
  return {
    threadId: input.threadId,
    runId: input.runId,
    known: new Set(input.messages.flatMap(({ id, role }) => (role === "user" ? [id] : []))),
    state: input.state,
    said,
    reasoning: reasoningOf(input),
    notices,
  };
}
