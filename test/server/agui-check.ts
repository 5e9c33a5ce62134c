import { EventSchemas } from "@ag-ui/core/schemas";
import { HttpAgent, verifyEvents, type Message as AguiMessage } from "@ag-ui/client";
import { z } from "zod";
import type { AgentState, Event } from "rubato/machines";
import { messagesOf } from "../../runtime/server/agui/messages.ts";
import { sharedState } from "../../runtime/server/agui/shared-state.ts";
import { AguiTranslator } from "../../runtime/server/agui/translator.ts";
import { fold } from "../support/invariants.ts";

/** What the official client makes of a recorded stream, and what it, the official schemas or we find wrong with it. */
export interface AguiChecked {
  readonly messages: readonly AguiMessage[];
  readonly state: unknown;
  readonly problems: readonly string[];
}

const typed = z.looseObject({ type: z.string() });

/**
 * A stream through `EventSchemas` and a real `HttpAgent` (which runs `verifyEvents`, applies JSON Patch with a library and warns of what does not fit);
 * that it has a last event is checked here, since the client takes a cut stream for a whole one.
 */
export async function checkAgui(
  events: readonly unknown[],
  messages: readonly AguiMessage[] = [],
): Promise<AguiChecked> {
  const problems: string[] = [];
  for (const [index, event] of events.entries()) {
    const one = EventSchemas.safeParse(event);
    if (!one.success) problems.push(`event ${index} ${JSON.stringify(event)}: ${one.error.message}`);
  }
  const types = events.map((event) => typed.parse(event).type);
  const ends = types.filter((type) => type === "RUN_FINISHED" || type === "RUN_ERROR");
  if (ends.length !== 1 || types.at(-1) !== ends[0]) problems.push(`it ends with ${types.at(-1) ?? "nothing"}`);
  const body = events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join("");
  const agent = new HttpAgent({
    url: "http://recorded",
    threadId: "t",
    initialMessages: [...messages],
    fetch: async () => new Response(body, { headers: { "content-type": "text/event-stream" } }),
  });
  const { warn, error } = console;
  console.warn = (...said: unknown[]) => problems.push(`warned: ${said.map(String).join(" ")}`);
  console.error = () => {};
  try {
    await agent.runAgent();
  } catch (thrown) {
    // What a RUN_ERROR makes of it.
    if (ends[0] !== "RUN_ERROR") problems.push(String(thrown));
  } finally {
    console.warn = warn;
    console.error = error;
  }
  return { messages: agent.messages, state: agent.state, problems };
}

export { verifyEvents };

/** The stream of a part of a log: what follows `from` events of it, up to `to`. */
export function aguiStream(
  log: readonly Event[],
  from: number,
  to: number,
): { readonly events: object[]; readonly state: AgentState } {
  const translator = new AguiTranslator({
    threadId: "t",
    runId: "answer",
    known: new Set(),
    reasoning: [],
    notices: [],
  });
  let state = fold(log.slice(0, from));
  const events: object[] = [...translator.begin(state)];
  for (const event of log.slice(from, to)) {
    const before = state;
    state = fold([event], before);
    events.push(...translator.take(event, before, state));
  }
  events.push(...translator.end(state, "rest"));
  return { events, state };
}

/** A conversation as both sides have to have it: texts and calls by id, in order. What a model said is compared as a client can show it. */
export function comparable(messages: readonly unknown[]): string[][] {
  const shape = z.looseObject({
    id: z.string(),
    role: z.string(),
    content: z.string().optional(),
    toolCalls: z.array(z.looseObject({ id: z.string() })).optional(),
  });
  const rows = messages.flatMap((message) => {
    const { id, role, content = "", toolCalls = [] } = shape.parse(message);
    if (role === "reasoning" || (role === "assistant" && content === "" && toolCalls.length === 0)) return [];
    return [[role, id, content, ...toolCalls.map((call) => call.id)]];
  });
  // The client has results as they come, the log in call order: the same after their message.
  const row = (value: readonly string[]): string => (value[0] === "tool" ? (value[1] ?? "") : "");
  return rows.reduce<string[][]>((sorted, next) => {
    let at = sorted.length;
    while (at > 0 && row(next) !== "" && row(sorted[at - 1] ?? []) > row(next)) at--;
    return [...sorted.slice(0, at), next, ...sorted.slice(at)];
  }, []);
}

/** What differs between what the client shows at the end of a stream and what the log says. */
export async function aguiDifference(log: readonly Event[], from: number, to: number): Promise<string[]> {
  const { events, state } = aguiStream(log, from, to);
  const { messages, state: shown, problems } = await checkAgui(events);
  const wanted = JSON.stringify(comparable(messagesOf(state)));
  const got = JSON.stringify(comparable(messages));
  const found = [...problems];
  if (wanted !== got) found.push(`messages: ${got} instead of ${wanted}`);
  const { rubato } = z.looseObject({ rubato: z.unknown() }).parse(shown);
  if (JSON.stringify(sorted(rubato)) !== JSON.stringify(sorted(sharedState(state)))) {
    found.push(`state: ${JSON.stringify(rubato)} instead of ${JSON.stringify(sharedState(state))}`);
  }
  return found.map((problem) => `${from}..${to}: ${problem}`);
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}
