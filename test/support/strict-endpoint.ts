import type { ServerResponse } from "node:http";
import { play, stepAt, type Script } from "../../runtime/models/scripted.ts";
import type { ModelChunk } from "../../runtime/models/chat-model.ts";
import { deltaFrame, listen, usageFrame, type TestServer } from "./fault-server.ts";

/** A message as an endpoint sees it, after {@link wireProblem} found nothing wrong with it. */
export interface WireBody {
  readonly model: string;
  readonly messages: readonly Readonly<Record<string, unknown>>[];
  readonly tools: readonly unknown[];
}

export interface StrictEndpoint extends TestServer {
  /** What was wrong with the requests that got a 400. A test that went well has none. */
  readonly problems: readonly string[];
}

/**
 * An OpenAI-compatible endpoint that takes the rules at their word: a request with an orphan call or result, arguments that are not the JSON of
 * an object, or a message without content gets a 400 with the reason. Every other request is answered from the script, in the form
 * of `scriptedModel`, gates included; requests that got a 400 do not use up a step. An `{ error }` in the script breaks the connection.
 */
export async function strictEndpoint(script: Script<WireBody>): Promise<StrictEndpoint> {
  const problems: string[] = [];
  let answered = 0;
  const server = await listen(async (request, response, _index, gone) => {
    const problem = wireProblem(request.body);
    if (problem !== undefined) {
      problems.push(problem);
      refuse(response, problem);
      return;
    }
    const body = bodyOf(request.body);
    const index = answered;
    answered += 1;
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.flushHeaders();
    try {
      for await (const chunk of play(() => stepAt(script, body, index), gone)) {
        for (const frame of framesOf(chunk)) response.write(`data: ${JSON.stringify(frame)}\n\n`);
        if (chunk.type === "finish") response.write("data: [DONE]\n\n");
      }
      if (!gone.aborted) response.end();
    } catch {
      response.socket?.end(); // In the middle of a body, this is a broken answer.
    }
  });
  return Object.assign(server, { problems });
}

function refuse(response: ServerResponse, problem: string): void {
  response.writeHead(400, { "content-type": "application/json" });
  response.end(JSON.stringify({ error: { message: problem, type: "invalid_request_error", param: "messages" } }));
}

/** Says what is wrong with the body of a chat request, by the rules of the Chat Completions API. */
export function wireProblem(body: unknown): string | undefined {
  if (!isRecord(body)) return "the body is not an object";
  if (body["stream"] !== true) return "only streams are served here";
  if (typeof body["model"] !== "string") return "model is missing";
  const tools = body["tools"];
  if (tools !== undefined && !(Array.isArray(tools) && tools.length > 0))
    return "tools must be a list with at least one entry";
  const messages = body["messages"];
  if (!Array.isArray(messages) || messages.length === 0) return "messages must be a list with at least one entry";
  let expected: string[] = [];
  const used = new Set<string>();
  for (const [at, message] of messages.entries()) {
    if (!isRecord(message)) return `messages[${at}] is not an object`;
    if (message["role"] === "tool") {
      const wanted = expected.shift();
      if (wanted === undefined) return `messages[${at}] is a result that no call stands before`;
      if (message["tool_call_id"] !== wanted) return `messages[${at}] is not the result of ${wanted}`;
      if (typeof message["content"] !== "string") return `messages[${at}] has no content`;
      continue;
    }
    if (expected.length > 0) return `${expected.join(", ")} did not have a result before messages[${at}]`;
    const problem = message["role"] === "assistant" ? assistantProblem(message) : speakerProblem(message);
    if (problem !== undefined) return `messages[${at}] ${problem}`;
    expected = callsOf(message).map(({ id }) => id);
    for (const id of expected) {
      if (used.has(id)) return `messages[${at}] uses the id ${id} of an earlier call`;
      used.add(id);
    }
  }
  return expected.length > 0 ? `${expected.join(", ")} did not have a result` : undefined;
}

function speakerProblem(message: Record<string, unknown>): string | undefined {
  if (message["role"] !== "system" && message["role"] !== "user") return `has the role ${String(message["role"])}`;
  return typeof message["content"] === "string" ? undefined : "has no content";
}

function assistantProblem(message: Record<string, unknown>): string | undefined {
  const calls = message["tool_calls"];
  if (calls === undefined) {
    return typeof message["content"] === "string" && message["content"] !== ""
      ? undefined
      : "has neither content nor calls";
  }
  const read = callsOf(message);
  if (!Array.isArray(calls) || calls.length === 0 || read.length !== calls.length) return "has malformed tool_calls";
  if (new Set(read.map(({ id }) => id)).size !== read.length) return "uses an id twice";
  for (const { id, name, args } of read) {
    if (!/^[\w-]{1,64}$/.test(name)) return `has the function name ${JSON.stringify(name)}`;
    if (!/^[\w-]{1,40}$/.test(id)) return `has the id ${JSON.stringify(id)}`;
    if (!isObjectText(args)) return `has arguments that are not the JSON of an object: ${args}`;
  }
  return undefined;
}

function callsOf(message: Record<string, unknown>): { id: string; name: string; args: string }[] {
  const calls = message["tool_calls"];
  if (!Array.isArray(calls)) return [];
  return calls.flatMap((call: unknown) => {
    if (!isRecord(call) || !isRecord(call["function"])) return [];
    const { id } = call;
    const { name, arguments: args } = call["function"];
    return typeof id === "string" && typeof name === "string" && typeof args === "string" ? [{ id, name, args }] : [];
  });
}

function isObjectText(text: string): boolean {
  try {
    return isRecord(JSON.parse(text));
  } catch {
    return false;
  }
}

function bodyOf(body: unknown): WireBody {
  const record = isRecord(body) ? body : {};
  const { model, messages, tools } = record;
  return {
    model: typeof model === "string" ? model : "",
    messages: Array.isArray(messages) ? messages.filter(isRecord) : [],
    tools: Array.isArray(tools) ? tools : [],
  };
}

function framesOf(chunk: ModelChunk): Readonly<Record<string, unknown>>[] {
  switch (chunk.type) {
    case "text":
      return [deltaFrame({ content: chunk.text })];
    case "reasoning":
      return [deltaFrame({ reasoning_content: chunk.text })];
    case "tool_call": {
      const { index, id, name, args } = chunk;
      const described = { ...(name === undefined ? undefined : { name }), arguments: args ?? "" };
      return [
        deltaFrame({
          tool_calls: [{ index, ...(id === undefined ? undefined : { id, type: "function" }), function: described }],
        }),
      ];
    }
    case "finish": {
      const { finish, usage } = chunk;
      const last = deltaFrame({}, finish);
      return usage === undefined ? [last] : [last, usageFrame(usage.inputTokens, usage.outputTokens)];
    }
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
