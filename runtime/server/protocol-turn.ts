import { z } from "zod";
import { initialState, type AgentState } from "../../machines/state.ts";
import type { Message } from "../../machines/messages.ts";
import { FIRST_INPUT } from "../input-id.ts";
import { stateAt } from "../state-at.ts";
import type { Run } from "../run.ts";
import { beginRun, callerIn } from "./begin-run.ts";
import type { Command } from "./commands.ts";
import type { ConnectionKind } from "./connections.ts";
import type { Core } from "./core.ts";
import { performFor } from "./perform-for.ts";
import type { Asked } from "./reply.ts";
import { isRefusal, refuse, type Refusal } from "./refusal.ts";
import type { ServedRun } from "./served-runs.ts";
import { FIRST_MESSAGE, messageIdOf, type Said } from "./spoken.ts";
import { clientOf, connect } from "./stream.ts";
import { TurnView, type Translator } from "./translation.ts";

/** What the endpoints of other protocols have in common: a request says something to a run, and its answer is the stream of what comes of it. */

/** When a message is heard, as a client may say beside its protocol. */
export const whenSchema = z.enum(["now", "step", "done"]);

/** The id that a client gives a message becomes that of the input. */
export function checkMessageId(id: string): Refusal | undefined {
  if (id.length > 0 && id.length <= 128 && id !== FIRST_INPUT) return undefined;
  return refuse(400, "invalid_request", `The id of a message has 1 to 128 characters, and is not "${FIRST_INPUT}".`);
}

/** Why there is no room for the stream that would tell what comes of it: asked before anything is done. */
export function noRoom(core: Core, request: Request, kind: ConnectionKind, runId: string): Refusal | undefined {
  return core.connections.refusal({ kind, runId, client: clientOf(request) });
}

/** The text of a message that the run has heard or will hear, by the id that its client gave it. */
function textOfSpoken(state: AgentState, id: string): string | undefined {
  const waiting = state.inputs.find((input) => messageIdOf(state, input.id) === id);
  if (waiting !== undefined) return waiting.text;
  for (const message of state.messages) {
    if (message.role === "user" && message.inputId !== undefined && messageIdOf(state, message.inputId) === id)
      return message.content;
  }
  return undefined;
}

export interface Conversation {
  /** What the protocol calls one. */
  readonly what: "thread" | "chat";
  readonly runId: string;
  readonly agent: string | undefined;
  /** What its first message says. */
  readonly said: Said | undefined;
  /** What its client shows before that. */
  readonly history: readonly Message[];
}

/** Begins the run of a conversation that is not there yet. */
export async function beginConversation(
  core: Core,
  { request }: Asked,
  { what, runId, agent: name, said, history }: Conversation,
): Promise<{ readonly run: Run; readonly served: ServedRun } | Refusal> {
  if (said === undefined) {
    const message = `There is no ${what} "${runId}" yet: its first request ends with a user message.`;
    return refuse(400, "no_user_message", message);
  }
  const metadata = { [FIRST_MESSAGE]: said.id };
  const begun = await beginRun(core, request, name, { task: said.text, runId, messages: [...history], metadata });
  if (isRefusal(begun)) return begun;
  const { run, agent } = begun;
  return { run, served: { runId, name: agent.name, agent, log: agent.log, head: await agent.log.head(runId) } };
}

/** The run of a conversation that is there, where it is of the agent that its client names. */
export async function openConversation(
  core: Core,
  { request }: Asked,
  { what, runId, agent }: Pick<Conversation, "what" | "runId" | "agent">,
): Promise<{ readonly run: Run; readonly served: ServedRun } | Refusal> {
  const found = await core.runFor(request, "stream", runId);
  if (isRefusal(found)) return found;
  const { served } = found;
  if (agent !== undefined && agent !== served.name) {
    const name = `${what.slice(0, 1).toUpperCase()}${what.slice(1)}`;
    return refuse(409, "other_agent", `${name} "${runId}" is a run of another agent.`);
  }
  return { run: await served.agent.open(runId), served };
}

/** Why a message cannot be the one that the run heard under its id. */
export function checkUnchanged(state: AgentState, { id, text }: Said): Refusal | undefined {
  if ((textOfSpoken(state, id) ?? text) === text) return undefined;
  return refuse(409, "message_changed", "That message was said with another text. The log keeps it: fork the run.");
}

/** Of the events that the commands led to. */
export interface Performed {
  /** The first; undefined where none was accepted. */
  readonly seq: number | undefined;
  /** Why the others were not. */
  readonly refused: readonly { readonly verb: string; readonly reason: string; readonly message?: string }[];
}

/** Gives the commands one after the other. Refused as a whole where none of them was accepted. */
export async function performAll(
  core: Core,
  request: Request,
  runId: string,
  commands: readonly Command[],
): Promise<Performed | Refusal> {
  let seq: number | undefined;
  const refused: { verb: string; reason: string; message?: string }[] = [];
  for (const command of commands) {
    const receipt = await performFor(core, request, runId, command, callerIn(request));
    if (isRefusal(receipt)) return receipt;
    if (receipt.accepted) seq ??= receipt.seq;
    else refused.push({ verb: command.verb, reason: receipt.reason, ...messageOf(receipt) });
  }
  const [first] = refused;
  if (seq !== undefined || first === undefined) return { seq, refused };
  return refuse(409, first.reason, first.message ?? `The run does not take this now (${first.verb}: ${first.reason}).`);
}

function messageOf({ message }: { readonly message?: string }): { readonly message?: string } {
  return message === undefined ? {} : { message };
}

/** The state behind which a stream begins. */
export async function stateBehind(served: ServedRun, seq: number): Promise<AgentState> {
  return seq <= 0 ? initialState() : stateAt(served.log, served.runId, seq);
}

export interface TurnRequest {
  readonly kind: ConnectionKind;
  readonly run: Run;
  readonly served: ServedRun;
  readonly state: AgentState;
  readonly translator: Translator;
  /** Said at the very end, behind the last words of the protocol. */
  readonly last?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Streams from a state on until the run rests. A client that leaves stops nothing (P24). */
export function streamTurn(core: Core, asked: Asked, turn: TurnRequest): Response | Refusal {
  const { kind, run, served, state, translator, last = "" } = turn;
  const view = new TurnView(served.log, served.runId, translator, state);
  return connect(core, {
    request: asked.request,
    served,
    kind,
    format: "sse",
    client: clientOf(asked.request),
    cursor: state.seq,
    view: () => view,
    cancelled: false,
    untilRest: run,
    restAt: (seq) => view.restAt(seq),
    farewell: (reason) => view.farewell(reason) + last,
    outgoing: asked.outgoing,
    headers: { ...asked.headers, "Content-Type": "text/event-stream; charset=utf-8", ...turn.headers },
  });
}
