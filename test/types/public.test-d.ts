import * as otel from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { expectTypeOf } from "vitest";
import { z } from "zod";
import {
  createAgent,
  defineTool,
  diffRuns,
  memoryLog,
  replay,
  scriptedModel,
  stateAt,
  verify,
  type Agent,
  type AgentState,
  type ApprovalContext,
  type Event,
  type EventData,
  type EventFor,
  type EventOf,
  type EventType,
  type InterruptReceipt,
  type Json,
  type Level,
  type LineChange,
  type Outcome,
  type Receipt,
  type Run,
  type SendReceipt,
  type Tool,
  type ToolContext,
} from "rubato";
import { WebSocket } from "ws";
import { createClient, type Client, type ClientConnection, type ClientRun, type ForkReceipt } from "rubato/client";
import { useRun, type ChatMessage, type StartReceipt } from "rubato/react";
import { traceAgent, traceIds, traceOf, type SpanRecord, type TracingLeft } from "rubato/inspect";
import { createHandler, serve, type ServerHandler } from "rubato/server";

/** Read by the compiler only: nothing here runs. A wrong use that compiles makes its `@ts-expect-error` an error. */

declare const run: Run;
declare const event: Event;
const model = scriptedModel([]);

// --- a listener's event by its pattern -----------------------------------------------------------------------------------------------

run.subscribe("token_stream", (token) => {
  expectTypeOf(token).toEqualTypeOf<EventOf<"token_stream">>();
  expectTypeOf(token.data.kind).toEqualTypeOf<"text" | "reasoning">();
  expectTypeOf(token.data.offset).toEqualTypeOf<number>();
});
run.subscribe("tool_*", (tool) => {
  expectTypeOf(tool.type).toEqualTypeOf<
    "tool_call" | "tool_call_delta" | "tool_start" | "tool_progress" | "tool_result"
  >();
  if (tool.type === "tool_result") expectTypeOf(tool.data.outcome).toEqualTypeOf<EventData<"tool_result">["outcome"]>();
  // @ts-expect-error A delta of text is no tool event.
  if (tool.type === "token_stream") return;
});
run.subscribe("*", (any) => {
  expectTypeOf(any).toEqualTypeOf<Event>();
});
run.subscribe("approval_*", async (approval) => {
  expectTypeOf(approval.type).toEqualTypeOf<"approval_request">();
});
expectTypeOf<EventFor<"run_*">["type"]>().toEqualTypeOf<"run_start">();
expectTypeOf(run.subscribe("*", () => {})).toEqualTypeOf<() => void>();
// @ts-expect-error There is no such type.
run.subscribe("tokens", () => {});
// A policy that drops also tells what it dropped; its listener has to know.
run.subscribe("token_stream", (heard) => expectTypeOf(heard).toEqualTypeOf<EventOf<"token_stream" | "gap">>(), {
  overflow: "drop-oldest",
  onLevel: (level, { queued }) => {
    expectTypeOf(level).toEqualTypeOf<Level>();
    expectTypeOf(queued).toEqualTypeOf<number>();
  },
});
run.subscribe("token_stream", (heard) => expectTypeOf(heard).toEqualTypeOf<EventOf<"token_stream">>(), {
  queue: { events: 10 },
  overflow: "coalesce",
});
// @ts-expect-error There is no such policy.
run.subscribe("*", () => {}, { overflow: "drop" });
expectTypeOf(run.batches({ from: 3, durable: true })).toEqualTypeOf<AsyncIterableIterator<readonly Event[]>>();
// @ts-expect-error There is no such prefix.
run.subscribe("to_*", () => {});
// @ts-expect-error Only a prefix may stand before the star.
run.subscribe("*_start", () => {});
// @ts-expect-error A listener is a function.
run.subscribe("*");
// @ts-expect-error This listener is for another event.
run.subscribe("done", (event: EventOf<"thinking">) => event);

// --- events --------------------------------------------------------------------------------------------------------------------------

expectTypeOf(event.seq).toEqualTypeOf<number>();
expectTypeOf(event.cause).toEqualTypeOf<number | undefined>();
expectTypeOf<EventData<"done">["output"]>().toEqualTypeOf<string>();
expectTypeOf<EventData<"message">["finish"]>().toEqualTypeOf<
  "stop" | "tool_calls" | "length" | "interrupted" | "truncated"
>();
expectTypeOf<EventData<"tool_call">["args"]>().toEqualTypeOf<Json>();
switch (event.type) {
  case "interrupt":
    expectTypeOf(event.data.mode).toEqualTypeOf<"step" | "now">();
    break;
  case "interrupted":
    expectTypeOf(event.data.keptChars).toEqualTypeOf<number>();
    // @ts-expect-error That is how an answer ends, not an interrupt.
    expectTypeOf(event.data.output).toBeString();
    break;
  // @ts-expect-error The union is closed.
  case "finished":
    break;
  default:
    break;
}
// @ts-expect-error There is no such event.
expectTypeOf<EventOf<"finished">>().toBeNever();
for await (const each of run) expectTypeOf(each).toEqualTypeOf<Event>();
for await (const each of run.events({ from: 3, types: ["done", "failed"], follow: true })) {
  expectTypeOf(each).toEqualTypeOf<Event>();
}
expectTypeOf(run.history("tool_*", 5)).resolves.toEqualTypeOf<Event[]>();
// @ts-expect-error Types are named one by one here: a pattern is for subscribe and history.
run.events({ types: ["tool_*"] });
// @ts-expect-error There is no such pattern.
run.history("tokens").catch(() => {});

// --- commands answer; receipts are told apart by `accepted` --------------------------------------------------------------------------

expectTypeOf(run.interrupt("", { mode: "now" })).resolves.toEqualTypeOf<InterruptReceipt>();
expectTypeOf(run.resume("go", { partial: "continue" })).resolves.toEqualTypeOf<Receipt>();
expectTypeOf(run.send("go", { when: "done" })).resolves.toEqualTypeOf<SendReceipt>();
expectTypeOf(run.approve("1.0", { args: { a: [1, null] } })).resolves.toEqualTypeOf<Receipt>();
declare const receipt: Receipt;
declare const interrupted: InterruptReceipt;
declare const sent: SendReceipt;
if (receipt.accepted) expectTypeOf(receipt.seq).toEqualTypeOf<number>();
else expectTypeOf(receipt.reason).toEqualTypeOf<string>();
if (interrupted.accepted) {
  expectTypeOf(interrupted.effective).toEqualTypeOf<boolean>();
  expectTypeOf(interrupted.keptChars).toEqualTypeOf<number | undefined>();
}
if (sent.accepted) expectTypeOf(sent.id).toEqualTypeOf<string>();
// @ts-expect-error A refused command has no seq: look at `accepted` first.
expectTypeOf(receipt.seq).toBeNumber();
// @ts-expect-error And an accepted one no reason.
if (sent.accepted) expectTypeOf(sent.reason).toBeString();
// @ts-expect-error `soon` is no mode.
run.interrupt("", { mode: "soon" }).catch(() => {});
// @ts-expect-error A follow-up is `done`.
run.send("go", { when: "later" }).catch(() => {});
// @ts-expect-error What is said has a text.
run.send().catch(() => {});
// @ts-expect-error Arguments are JSON.
run.approve("1.0", { args: () => 1 }).catch(() => {});
expectTypeOf(run.settled()).resolves.toEqualTypeOf<Outcome>();
expectTypeOf<Outcome["status"]>().toEqualTypeOf<"done" | "interrupted" | "waiting" | "failed" | "cancelled">();
declare const other: Run;
// @ts-expect-error State is read: only events change it.
run.state = other.state;
// @ts-expect-error So is its inside.
run.state.output = "";

// --- tools ---------------------------------------------------------------------------------------------------------------------------

const weather = defineTool({
  name: "weather",
  description: "",
  input: z.object({ city: z.string(), days: z.number().default(1) }),
  execute(input, ctx) {
    expectTypeOf(input).toEqualTypeOf<{ city: string; days: number }>();
    expectTypeOf(ctx.signal).toEqualTypeOf<AbortSignal>();
    expectTypeOf(ctx.context).toEqualTypeOf<unknown>();
    // @ts-expect-error Progress is JSON.
    ctx.progress(() => {});
    return input.days;
  },
});
const sum = defineTool({
  name: "sum",
  description: "",
  input: z.object({ values: z.array(z.number()) }),
  execute: async ({ values }) => values.length,
});
const listed: Tool[] = [weather, sum];
createAgent({ name: "a", model, tools: [weather, sum] }).run("go");
createAgent({ name: "a", model, tools: listed }).run("go", { metadata: { tag: [1, "x", null] } });
// @ts-expect-error The input decides what `execute` gets.
defineTool({ name: "t", description: "", input: z.object({ a: z.string() }), execute: ({ b }) => b });
// @ts-expect-error A tool says what it takes.
defineTool({ name: "t", description: "", execute: () => 1 });
defineTool({
  name: "t",
  description: "",
  input: z.object({ sum: z.number().default(1) }),
  approval(input, ctx) {
    expectTypeOf(input).toEqualTypeOf<{ sum: number }>();
    expectTypeOf(ctx).toEqualTypeOf<ApprovalContext>();
    return input.sum > 10;
  },
  execute(_input, ctx) {
    expectTypeOf(ctx.answer).toEqualTypeOf<string | undefined>();
  },
});
// @ts-expect-error A policy answers yes or no.
defineTool({ name: "t", description: "", input: z.object({}), approval: () => "maybe", execute: () => 1 });
expectTypeOf<Tool["approval"]>().toEqualTypeOf<"never" | "always" | "depends">();
// @ts-expect-error Not every word is a policy.
defineTool({ name: "t", description: "", input: z.object({}), approval: "sometimes", execute: () => 1 });
// @ts-expect-error A plain object is no tool: defineTool closes over its input.
createAgent({ name: "a", model, tools: [{ name: "t", description: "", execute: () => 1 }] });

// --- context -------------------------------------------------------------------------------------------------------------------------

interface Session {
  readonly user: string;
}
const mine = defineTool({
  name: "mine",
  description: "",
  input: z.object({ id: z.number() }),
  execute({ id }, ctx: ToolContext<Session>) {
    expectTypeOf(id).toEqualTypeOf<number>();
    expectTypeOf(ctx.context).toEqualTypeOf<Session>();
    return ctx.context.user;
  },
});
const guarded = defineTool({
  name: "guarded",
  description: "",
  input: z.object({ id: z.number() }),
  approval: async ({ id }, ctx: ApprovalContext<Session>) => ctx.context.user !== String(id),
  execute: () => null,
});
expectTypeOf(guarded).toExtend<Tool<Session>>();
const agent = createAgent<Session>({
  name: "a",
  model,
  log: memoryLog(),
  tools: [
    weather,
    mine,
    defineTool({
      name: "inline",
      description: "",
      input: z.object({}),
      execute: (_input, ctx: ToolContext<Session>) => ctx.context.user.length,
    }),
  ],
});
expectTypeOf(agent).toEqualTypeOf<Agent<Session>>();
agent.run("go", { context: { user: "ann" } });
// @ts-expect-error Its tools need a context.
agent.run("go");
// @ts-expect-error Also beside other options.
agent.run("go", { runId: "r" });
// @ts-expect-error Of this type.
agent.run("go", { context: { user: 1 } });
createAgent<Session | undefined>({ name: "a", model }).run("go");
createAgent({ name: "a", model }).run("go", { context: "anything" });
createAgent<Session>({
  name: "a",
  model,
  tools: [
    defineTool({ name: "bare", description: "", input: z.object({}), execute: (_input, { context }) => context.user }),
  ],
});
// @ts-expect-error The tools alone decide it too.
createAgent({ name: "a", model, tools: [mine] }).run("go");
// @ts-expect-error A tool that needs another context is of no use here.
createAgent<{ org: string }>({ name: "a", model, tools: [mine] });
// @ts-expect-error There is no such option.
createAgent({ name: "a", model, maxStep: 3 });
// @ts-expect-error Metadata is JSON.
createAgent({ name: "a", model }).run("go", { metadata: { at: new Date() } });
agent.subscribe("user_*", (input) => {
  expectTypeOf(input.type).toEqualTypeOf<"user_input">();
});
expectTypeOf(agent.runs({ status: "done" })).resolves.toExtend<readonly { readonly runId: string }[]>();
// @ts-expect-error `finished` is no status.
agent.runs({ status: "finished" }).catch(() => {});
expectTypeOf<EventType>().toExtend<string>();

// --- looking back ---------------------------------------------------------------------------------------------------------------------

async function lookBack(agent: Agent): Promise<void> {
  const log = memoryLog();
  for await (const { event, state } of replay(log, "r", { until: 3 })) {
    expectTypeOf(event).toEqualTypeOf<Event>();
    expectTypeOf(state).toEqualTypeOf<AgentState>();
  }
  const found = await verify(log, "r");
  if (found.ok) expectTypeOf(found.events).toEqualTypeOf<number>();
  else expectTypeOf(found.problem).toEqualTypeOf<string>();
  const check = await agent.checkReplay("r");
  if (!check.ok) expectTypeOf(check.got).toEqualTypeOf<Event | undefined>();
  expectTypeOf(await stateAt(log, "r", 3)).toEqualTypeOf<AgentState>();
  expectTypeOf((await diffRuns(log, "r", "f")).text).toEqualTypeOf<readonly LineChange[]>();
  // @ts-expect-error a replay has an end, not a limit
  replay(log, "r", { limit: 3 });
}
expectTypeOf(lookBack).returns.resolves.toBeVoid();

export function aServerTakesAgentsOfAnyContext(plain: Agent, typed: Agent<{ db: string }>): void {
  expectTypeOf(serve).toBeCallableWith({ agents: [plain, typed] });
  expectTypeOf(createHandler).toBeCallableWith({ agents: typed, context: () => ({ db: "x" }) });
  expectTypeOf<ServerHandler>().toExtend<(request: Request) => Promise<Response>>();
}

// --- the client -----------------------------------------------------------------------------------------------------------------------

export async function aClientIsLikeARun(client: Client, remote: ClientRun): Promise<void> {
  createClient({ url: "/api", WebSocket, fetch: globalThis.fetch, transport: "websocket", reconnect: { attempts: 3 } });
  // @ts-expect-error There is no such way.
  createClient({ url: "/api", transport: "polling" });
  // @ts-expect-error A client needs a server.
  createClient({});
  expectTypeOf(client.start("x", { metadata: { user: "u" } })).resolves.toEqualTypeOf<ClientRun>();
  expectTypeOf(client.attach("r", { after: 3, types: ["tool_*", "done"] })).toEqualTypeOf<ClientRun>();
  // @ts-expect-error There is no such type.
  client.attach("r", { types: "tokens" });
  for await (const heard of remote) expectTypeOf(heard).toEqualTypeOf<Event>();
  expectTypeOf(remote.state).toEqualTypeOf<AgentState>();
  expectTypeOf(remote.connection).toEqualTypeOf<ClientConnection>();
  expectTypeOf(remote.settled()).resolves.toEqualTypeOf<Outcome>();
  expectTypeOf(remote.send("x", { when: "now" })).resolves.toEqualTypeOf<SendReceipt>();
  expectTypeOf(remote.interrupt()).resolves.toEqualTypeOf<InterruptReceipt>();
  expectTypeOf(remote.fork({ at: 3 })).resolves.toEqualTypeOf<ForkReceipt>();
  // What takes a run's commands takes a client's too.
  expectTypeOf(remote).toExtend<
    Pick<Run, "send" | "interrupt" | "resume" | "approve" | "reject" | "settleCall" | "cancel" | "settled">
  >();
}

export function AComponent(client: Client): void {
  const chat = useRun(client, "r");
  expectTypeOf(chat.messages).toEqualTypeOf<readonly ChatMessage[]>();
  expectTypeOf(chat.isStreaming).toEqualTypeOf<boolean>();
  expectTypeOf(chat.start("x")).resolves.toEqualTypeOf<StartReceipt>();
  expectTypeOf(chat.interrupt()).resolves.toEqualTypeOf<InterruptReceipt>();
  // @ts-expect-error The client comes first.
  useRun("r");
}

// --- looking inside ------------------------------------------------------------------------------------------------------------------

const watched = createAgent({
  name: "watched",
  model,
  logger: console,
  metrics: true,
  inspect: () => {},
  propagate: true,
});
// @ts-expect-error A logger has four levels.
createAgent({ name: "a", model, logger: { info() {} } });
// @ts-expect-error An inspector is a function, or has `next`.
createAgent({ name: "a", model, inspect: { hot: true } });
expectTypeOf(watched.observe({ event: (seen, of) => [seen.type, of.id] })).toEqualTypeOf<() => void>();
expectTypeOf(watched.metrics().turns.interrupted.recent).toEqualTypeOf<number>();
expectTypeOf(watched.metrics().latency.firstToken.p99).toEqualTypeOf<number>();
expectTypeOf(traceOf([event])).toEqualTypeOf<SpanRecord[]>();
const tracing = traceAgent(watched, { tracer: otel.trace.getTracer("watched"), api: otel, ids: traceIds() });
expectTypeOf(tracing.flush()).toEqualTypeOf<Promise<TracingLeft>>();
expectTypeOf(new BasicTracerProvider({ idGenerator: traceIds() }).getTracer("a")).toExtend<otel.Tracer>();

// --- what is handed out is the log's own ---------------------------------------------------------------------------------------------

watched.subscribe("*", (event) => {
  // @ts-expect-error An event stays as it happened.
  event.seq = 1;
  if (event.type !== "message") return;
  // @ts-expect-error Its data too.
  event.data.text = "";
  // @ts-expect-error At any depth.
  event.data.calls.length = 0;
});
scriptedModel(({ messages }) => {
  // @ts-expect-error The conversation is the run's, not the model's.
  if (messages[0] !== undefined) messages[0].content = "";
  return "";
});
