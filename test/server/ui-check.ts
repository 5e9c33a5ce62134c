import { isToolUIPart, readUIMessageStream, uiMessageChunkSchema, type UIMessage, type UIMessageChunk } from "ai";
import { z } from "zod";
import type { AgentState, Event } from "rubato/machines";
import { UiTranslator, type UiRequest } from "../../runtime/server/ui-stream/translator.ts";
import { fold } from "../support/invariants.ts";

/** A chunk as the official schema reads it; throws where it does not. */
export async function chunkOf(value: unknown): Promise<UIMessageChunk> {
  const { validate } = uiMessageChunkSchema();
  if (validate === undefined) throw new Error("the schema checks nothing");
  const checked = await validate(value);
  if (!checked.success) throw new Error(`${JSON.stringify(value)}: ${checked.error.message}`);
  return checked.value;
}

export interface UiChecked {
  readonly message: UIMessage | undefined;
  readonly problems: readonly string[];
}

const ENDS = new Set(["finish", "abort", "error"]);

/** A recorded stream through the official schema and reader, and that it ends once, with everything closed. */
export async function checkUi(said: readonly unknown[], before?: UIMessage): Promise<UiChecked> {
  const problems: string[] = [];
  const chunks: UIMessageChunk[] = [];
  for (const one of said) {
    try {
      chunks.push(await chunkOf(one));
    } catch (error) {
      problems.push(String(error));
    }
  }
  const ends = chunks.filter(({ type }) => ENDS.has(type));
  if (ends.length !== 1 || chunks.at(-1) !== ends[0]) problems.push(`it ends with ${chunks.at(-1)?.type ?? "nothing"}`);
  if (chunks[0]?.type !== "start" || chunks.filter(({ type }) => type === "start").length > 1)
    problems.push("not one start");
  let open = 0;
  for (const { type } of chunks) {
    if (type === "start-step") open++;
    if (type === "finish-step") open--;
    if (open > 1) problems.push("a step in a step");
  }
  let message: UIMessage | undefined = before;
  const stream = new ReadableStream<UIMessageChunk>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
  const failed = ends[0]?.type === "error";
  const reading = readUIMessageStream({
    stream,
    ...(before === undefined ? {} : { message: structuredClone(before) }),
    onError(error) {
      if (!failed) problems.push(String(error));
    },
  });
  for await (const next of reading) message = next;
  for (const part of message?.parts ?? []) {
    if ("state" in part && (part.state === "streaming" || part.state === "input-streaming"))
      problems.push(`${part.type} is open`);
  }
  return { message, problems };
}

export function uiStream(
  log: readonly Event[],
  from: number,
  to: number,
  request: Partial<UiRequest> = {},
): { readonly chunks: object[]; readonly state: AgentState } {
  const translator = new UiTranslator({
    messageId: "m",
    superseded: new Set(),
    whole: false,
    goesOn: false,
    ...request,
  });
  let state = fold(log.slice(0, from));
  const chunks: object[] = [...translator.begin(state)];
  for (const event of log.slice(from, to)) {
    const before = state;
    state = fold([event], before);
    chunks.push(...translator.take(event, before, state));
  }
  chunks.push(...translator.end(state, "rest"));
  return { chunks, state };
}

const superseded = z.looseObject({ rubato: z.looseObject({ superseded: z.literal(true) }) });

/** The texts of a message, without those that were taken back. */
export function textOf(message: UIMessage | undefined): string {
  return (message?.parts ?? [])
    .flatMap((part) =>
      part.type === "text" && !superseded.safeParse(part.providerMetadata).success ? [part.text] : [],
    )
    .join("");
}

/** What the model said in a log, in messages that count and in the one that streams at its end. */
export function saidIn(log: readonly Event[], shown: boolean): string {
  let state = fold([]);
  let said = "";
  for (const event of log) {
    const base = state.partial?.base ?? "";
    if (event.type === "message") said += event.data.text.slice(base.length);
    state = fold([event], state);
  }
  const { partial } = state;
  return shown && partial !== undefined ? said + partial.text.slice(partial.base.length) : said;
}

export function toolStates(message: UIMessage | undefined): Record<string, string> {
  return Object.fromEntries(
    (message?.parts ?? []).flatMap((part) => (isToolUIPart(part) ? [[part.toolCallId, part.state]] : [])),
  );
}

/** What is wrong with the message that a client makes of the first events of a log. */
export async function uiProblems(log: readonly Event[], to: number, whole = false): Promise<string[]> {
  const { chunks, state } = uiStream(log, 0, to, { whole });
  const { message, problems } = await checkUi(chunks);
  const found = [...problems];
  const said = saidIn(log.slice(0, to), !whole);
  if (textOf(message) !== said)
    found.push(`text: ${JSON.stringify(textOf(message))} instead of ${JSON.stringify(said)}`);
  const states = toolStates(message);
  for (const { callId, outcome, phase } of state.toolCalls.values()) {
    const shown = states[callId] ?? "nothing";
    if (outcome !== undefined && !shown.startsWith("output-"))
      found.push(`${callId} is ${outcome} and shown as ${shown}`);
    const asked = log.slice(0, to).some((event) => event.type === "approval_request" && event.data.callId === callId);
    if (asked && phase === "awaiting_approval" && shown !== "approval-requested")
      found.push(`${callId} waits and is ${shown}`);
  }
  return found.map((problem) => `0..${to}: ${problem}`);
}
