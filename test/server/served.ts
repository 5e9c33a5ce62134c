import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { onTestFinished } from "vitest";
import { z } from "zod";
import { createAgent, memoryLog, type Agent, type AgentOptions, type Event, type EventLog } from "rubato";
import { serve, type RubatoServer, type ServeOptions } from "rubato/server";
import { parseEvent } from "rubato/machines";
import { goldenModel, goldenTools } from "../support/golden-run.ts";
import { stored } from "../support/logs.ts";

export interface Served {
  readonly server: RubatoServer;
  readonly agent: Agent;
  readonly log: EventLog;
  readonly url: string;
  /** What went wrong inside. */
  readonly errors: readonly unknown[];
  events(runId: string): Promise<readonly Event[]>;
}

/** An agent behind a server on a free port, both closed when the test ends. */
export async function served(
  agentOptions: Partial<AgentOptions> = {},
  serveOptions: Partial<ServeOptions> = {},
): Promise<Served> {
  const log = agentOptions.log ?? memoryLog();
  const agent = createAgent({
    name: "test",
    model: goldenModel(),
    tools: goldenTools({ started: [], finished: [], aborted: [] }),
    ...agentOptions,
    log,
  });
  const errors: unknown[] = [];
  const server = await serve({
    agents: agent,
    port: 0,
    closeMs: 500,
    onError(error) {
      errors.push(error);
    },
    ...serveOptions,
  });
  onTestFinished(async () => {
    await server.close();
    await agent.close();
  });
  return { server, agent, log, url: server.url, errors, events: (runId) => stored(log, runId) };
}

/** A run of about 60 events that is over, under this id. */
export async function finished({ agent }: Served, runId: string): Promise<void> {
  await agent.run("What is the average temperature?", { runId }).settled();
}

export const JSON_TYPE = { "content-type": "application/json" };

export function post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(url, { method: "POST", headers: { ...JSON_TYPE, ...headers }, body: JSON.stringify(body) });
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A request whose every header is the test's own: fetch keeps some for itself (`Host`, `Origin`). */
export function raw(
  url: string,
  {
    method = "GET",
    headers = {},
    body,
  }: { method?: string; headers?: Record<string, string>; body?: string | Buffer } = {},
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (piece: string) => {
        text += piece;
      });
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text });
      });
      response.on("error", reject);
    });
    request.on("error", reject);
    request.on("upgrade", (response, socket) => {
      socket.destroy();
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: "" });
    });
    request.end(body);
  });
}

/** The JSON object of an answer. */
export async function object(response: Response): Promise<Record<string, unknown>> {
  return z.looseObject({}).parse(await response.json());
}

/** The code of a JSON error, checked to be nothing but that. */
export function codeOf(body: string): string {
  const value: unknown = JSON.parse(body);
  if (typeof value !== "object" || value === null || !("error" in value)) throw new Error(`no error: ${body}`);
  const { error } = value;
  if (typeof error !== "object" || error === null || !("code" in error) || !("message" in error)) {
    throw new Error(`no error: ${body}`);
  }
  if (typeof error.message !== "string" || error.message === "") throw new Error(`no sentence: ${body}`);
  return String(error.code);
}

/** The events in an SSE text, each with its id and type checked against its data; and what was no event. */
export function parseSse(text: string): {
  readonly events: Event[];
  readonly comments: string[];
  readonly rest: string;
} {
  const events: Event[] = [];
  const comments: string[] = [];
  const frames = text.split("\n\n");
  const rest = frames.pop() ?? "";
  for (const frame of frames) {
    if (frame === "retry: 1000") continue;
    if (frame.startsWith(":")) {
      comments.push(frame.slice(1).trim());
      continue;
    }
    const [, id, type, data] = /^id: (\d+)\nevent: (\w+)\ndata: (.*)$/.exec(frame) ?? [];
    const event = parseEvent(JSON.parse(data ?? "null"));
    if (String(event.seq) !== id || event.type !== type)
      throw new Error(`a frame that does not fit its event: ${frame}`);
    events.push(event);
  }
  return { events, comments, rest };
}

export function seqsOf(events: readonly Event[]): number[] {
  return events.map(({ seq }) => seq);
}

/** Waits for something that only other parts of the process bring about. */
export async function eventually(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) {
    await new Promise((resolve) => {
      setTimeout(resolve, 2);
    });
  }
}
