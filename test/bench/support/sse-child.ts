import { createServer, type ServerResponse } from "node:http";

/**
 * An OpenAI-compatible endpoint in a process of its own, so that its work is not billed to the client. The model's name in the request says
 * what it does. It tells its parent when it listens, and for a request with a `user` when that connection closed.
 *
 * The clock is the system's monotonic one, which all processes of a machine share.
 */

export interface Listening {
  readonly type: "listening";
  readonly port: number;
}
export interface Closed {
  readonly type: "closed";
  readonly user: string;
  /** Nanoseconds on the shared clock, as text: a message holds no BigInt. */
  readonly at: string;
}
export type FromServer = Listening | Closed;

interface Body {
  readonly model?: string;
  readonly user?: string;
  readonly messages?: readonly { readonly role: string }[];
}

/** Between two tokens of a slow answer, ms. */
const DRIP_MS = 1;
const TOKENS_PER_STEP = 200;
/** Of one conversation with `steps`; then comes the answer. */
const STEPS = 20;

const server = createServer((request, response) => {
  const pieces: Buffer[] = [];
  request.on("data", (piece: Buffer) => {
    pieces.push(piece);
  });
  request.on("end", () => {
    const body: Body = JSON.parse(Buffer.concat(pieces).toString("utf8"));
    response.writeHead(200, { "content-type": "text/event-stream" });
    if (body.model === "drip") drip(response, body.user ?? "");
    else step(response, body);
  });
});
// A closing client is seen at once, not after the next write.
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address !== null && typeof address !== "string") tell({ type: "listening", port: address.port });
});
process.once("disconnect", () => process.exit(0));

function drip(response: ServerResponse, user: string): void {
  let count = 0;
  const timer = setInterval(() => {
    frame(response, { content: `${count++} ` });
  }, DRIP_MS);
  response.once("close", () => {
    const at = process.hrtime.bigint().toString();
    clearInterval(timer);
    tell({ type: "closed", user, at });
  });
}

/** One frame per write, as endpoints send them. */
function step(response: ServerResponse, { messages = [] }: Body): void {
  const asked = messages.filter((message) => message.role === "assistant").length;
  for (let token = 0; token < TOKENS_PER_STEP; token++) frame(response, { content: "token " });
  if (asked < STEPS) {
    const call = { index: 0, id: `call_${asked}`, type: "function", function: { name: "weather", arguments: "" } };
    frame(response, { tool_calls: [call] });
    frame(response, { tool_calls: [{ index: 0, function: { arguments: `{"city":"Rome ${asked}"}` } }] });
    frame(response, {}, "tool_calls");
  } else frame(response, {}, "stop");
  const usage = { prompt_tokens: 100, completion_tokens: TOKENS_PER_STEP, total_tokens: 100 + TOKENS_PER_STEP };
  write(response, { choices: [], usage });
  response.end("data: [DONE]\n\n");
}

function frame(
  response: ServerResponse,
  delta: Readonly<Record<string, unknown>>,
  finish_reason: string | null = null,
): void {
  write(response, { choices: [{ index: 0, delta, finish_reason }] });
}

function write(response: ServerResponse, fields: Readonly<Record<string, unknown>>): void {
  const chunk = { id: "chatcmpl-bench", object: "chat.completion.chunk", created: 0, model: "bench", ...fields };
  response.write(`data: ${JSON.stringify(chunk)}\n\n`);
}

function tell(message: FromServer): void {
  process.send?.(message);
}
