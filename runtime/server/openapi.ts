import { z } from "zod";
import { eventSchema, jsonSchema } from "../../machines/events.ts";
import { aguiInputSchema } from "./agui/input.ts";
import type { Settings } from "./options.ts";
import { commandSchema, startSchema } from "./protocol.ts";
import { listQuery, type RoutePath } from "./routes.ts";
import { uiInputSchema } from "./ui-stream/input.ts";

/** Any JSON that a schema of OpenAPI may hold. */
type Description = Readonly<Record<string, unknown>>;

const reference = (name: string): Description => ({ $ref: `#/components/schemas/${name}` });
const json = (schema: Description): Description => ({ content: { "application/json": { schema } } });
const answer = (description: string, schema?: Description): Description => ({
  description,
  ...(schema === undefined ? {} : json(schema)),
});

/** Its own JSON check is a function, which a schema cannot say: any value then. */
function schemaOf(schema: z.ZodType): Description {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  return rest;
}

const runSummary = z.object({
  runId: z.string(),
  agent: z.string(),
  status: listQuery.shape.status.unwrap(),
  title: z.string(),
  metadata: z.record(z.string(), jsonSchema),
  createdAt: z.number(),
  updatedAt: z.number(),
  seq: z.number().int(),
  owned: z.boolean(),
  problem: z.string().optional(),
});
const receipt = z.union([
  z.looseObject({ accepted: z.literal(true), seq: z.number().int() }),
  z.object({ accepted: z.literal(false), reason: z.string(), message: z.string().optional() }),
]);
const state = z.looseObject({
  runId: z.string(),
  seq: z.number().int(),
  status: listQuery.shape.status.unwrap(),
  value: z.string(),
  atRest: z.boolean(),
  turn: z.number().int(),
  step: z.number().int(),
  interruptRequested: z.boolean(),
  messages: z.array(jsonSchema),
  toolCalls: z.array(jsonSchema),
  output: z.string(),
});
const wireError = z.object({ error: z.object({ code: z.string(), message: z.string() }) });

const COMPONENTS: Readonly<Record<string, z.ZodType>> = {
  StartRequest: startSchema,
  Command: commandSchema,
  RunAgentInput: aguiInputSchema,
  UiChatRequest: uiInputSchema,
  Event: eventSchema,
  RunSummary: runSummary,
  Receipt: receipt,
  State: state,
  Error: wireError,
};

const RUN_ID: Description = { name: "id", in: "path", required: true, schema: { type: "string" } };
const query = (name: string, schema: Description, description: string): Description => ({
  name,
  in: "query",
  schema,
  description,
});
const CURSOR: readonly Description[] = [
  query("after", { type: "string" }, "The seq of the last event that came, or RUNID:SEQ. Default 0."),
  query("types", { type: "string" }, "Event types and prefixes such as tool_*, separated by commas."),
  query("client", { type: "string" }, "A newer stream of the same client on this run ends the older one."),
];
const EVENT_STREAM: Description = {
  description: "Events after the cursor, then those to come.",
  content: {
    "text/event-stream": { schema: { type: "string" } },
    "application/x-ndjson": { schema: reference("Event") },
  },
};

/** What the endpoints of other protocols answer before the stream. */
const TURN_ERRORS: Description = {
  "409": answer("The run does not take this now, or is another agent's.", reference("Error")),
  "429": answer("Too many runs work, or too many streams are open.", reference("Error")),
};
const UI_STREAM: Description = {
  description: "UI message chunks until the run rests, then [DONE].",
  content: { "text/event-stream": { schema: { type: "string" } } },
};

function aguiOperation(operationId: string, parameters: readonly Description[]): Description {
  return {
    operationId,
    summary: "AG-UI 1.0: the thread is the run",
    parameters,
    requestBody: { required: true, ...json(reference("RunAgentInput")) },
    responses: {
      "200": {
        description: "Events of AG-UI until the run rests.",
        content: { "text/event-stream": { schema: { type: "string" } } },
      },
      ...TURN_ERRORS,
    },
  };
}

const HEALTH_STATUS = {
  type: "object",
  properties: {
    status: { enum: ["ok", "closing", "unavailable"] },
    live: { const: true },
    ready: { type: "boolean" },
    log: { enum: ["ok", "failed", "unknown"] },
  },
};
const HEALTH = {
  summary: "Whether it lives, and whether it takes new work",
  parameters: [query("probe", { enum: ["live", "ready"] }, "What the status answers. Default ready.")],
  responses: {
    "200": answer("It does.", HEALTH_STATUS),
    "503": answer("It does not take new work.", HEALTH_STATUS),
  },
};

const PATHS: Readonly<Record<RoutePath, { readonly get?: Description; readonly post?: Description }>> = {
  "/runs": {
    get: {
      operationId: "listRuns",
      summary: "Runs, the oldest first",
      parameters: [
        ...Object.entries(listQuery.shape).map(([name, schema]) => query(name, schemaOf(schema), `By ${name}.`)),
        query("metadata.KEY", { type: "string" }, "Only runs whose metadata has this value under KEY."),
      ],
      responses: {
        "200": answer("The runs.", {
          type: "object",
          properties: { runs: { type: "array", items: reference("RunSummary") } },
        }),
      },
    },
    post: {
      operationId: "startRun",
      summary: "Begins a run",
      requestBody: { required: true, ...json(reference("StartRequest")) },
      responses: {
        "200": EVENT_STREAM,
        "201": answer("It is begun, and stored.", {
          type: "object",
          properties: {
            runId: { type: "string" },
            agent: { type: "string" },
            seq: { type: "integer" },
            status: { type: "string" },
          },
        }),
        "409": answer("There is a run of that id.", reference("Error")),
        "429": answer("Too many runs work.", reference("Error")),
      },
    },
  },
  "/runs/:id": {
    get: {
      operationId: "showRun",
      summary: "One run",
      parameters: [RUN_ID],
      responses: { "200": answer("The run.", reference("RunSummary")) },
    },
  },
  "/runs/:id/state": {
    get: {
      operationId: "showState",
      summary: "Its state, as of now or of any seq",
      parameters: [RUN_ID, query("seq", { type: "integer", minimum: 0 }, "As of this event. Default the last one.")],
      responses: { "200": answer("The state.", reference("State")) },
    },
  },
  "/runs/:id/commands": {
    post: {
      operationId: "command",
      summary: "Says something to it, stops it, resumes it, answers its questions",
      parameters: [RUN_ID],
      requestBody: { required: true, ...json(reference("Command")) },
      responses: {
        "200": answer("Accepted.", reference("Receipt")),
        "409": answer("Refused, and the log is as it was.", reference("Receipt")),
        "429": answer("Too many runs work.", reference("Error")),
      },
    },
  },
  "/runs/:id/tickets": {
    post: {
      operationId: "ticket",
      summary: "A key to the events of this run, for an EventSource",
      parameters: [RUN_ID],
      requestBody: { required: true, ...json({ type: "object", additionalProperties: false }) },
      responses: {
        "201": answer("For ?ticket=.", {
          type: "object",
          properties: { ticket: { type: "string" }, expiresAt: { type: "number" } },
        }),
      },
    },
  },
  "/runs/:id/events": {
    get: {
      operationId: "events",
      summary: "Its events, from any seq on",
      parameters: [
        RUN_ID,
        ...CURSOR,
        query("follow", { type: "boolean", default: true }, "False: ends when the run rests."),
        query("ticket", { type: "string" }, "Instead of the token, from POST /runs/{id}/tickets."),
        {
          name: "Last-Event-ID",
          in: "header",
          schema: { type: "string" },
          description: "As `after`, and before it.",
        },
      ],
      responses: {
        "200": EVENT_STREAM,
        "204": answer("It is cancelled and there is nothing after the cursor."),
        "429": answer("Too many streams are open.", reference("Error")),
      },
    },
  },
  "/runs/:id/socket": {
    get: {
      operationId: "socket",
      summary: "Its events and commands over a WebSocket",
      parameters: [RUN_ID, ...CURSOR],
      responses: {
        "101": answer("The socket."),
        "426": answer("This is no upgrade.", reference("Error")),
      },
    },
  },
  "/agui": { post: aguiOperation("agui", []) },
  "/agui/:agent": {
    post: aguiOperation("aguiAgent", [
      {
        name: "agent",
        in: "path",
        required: true,
        schema: { type: "string" },
        description: "The agent of a new thread.",
      },
    ]),
  },
  "/ui/chat": {
    post: {
      operationId: "uiChat",
      summary: "The AI SDK's UI message stream v1 (DefaultChatTransport, useChat): the chat is the run",
      parameters: [query("whole", { type: "boolean", default: false }, "Nothing before its message is complete.")],
      requestBody: { required: true, ...json(reference("UiChatRequest")) },
      responses: { "200": UI_STREAM, ...TURN_ERRORS },
    },
  },
  "/ui/chat/:id/stream": {
    get: {
      operationId: "uiStream",
      summary: "The UI message that is being made, from its beginning",
      parameters: [RUN_ID],
      responses: { "200": UI_STREAM, "204": answer("The run rests: nothing is being made.") },
    },
  },
  "/health": { get: { operationId: "health", ...HEALTH } },
  "/api/health": { get: { operationId: "apiHealth", ...HEALTH } },
  "/metrics": {
    get: {
      operationId: "metrics",
      summary: "What it counts, for Prometheus",
      responses: { "200": { description: "The figures.", content: { "text/plain": { schema: { type: "string" } } } } },
    },
  },
  "/api/metrics": {
    get: {
      operationId: "apiMetrics",
      summary: "What it counts, the last minute beside the totals",
      responses: { "200": answer("The figures.", { type: "object" }) },
    },
  },
  "/openapi.json": {
    get: {
      operationId: "description",
      summary: "This description",
      responses: { "200": answer("OpenAPI 3.1.", { type: "object" }) },
    },
  },
};

/** The description of the server, from the schemas that it checks requests with. */
export function openApi({ basePath, token }: Pick<Settings, "basePath" | "token">): Description {
  const paths = Object.entries(PATHS).map(([path, operations]) => [
    basePath + path.replace(/:(\w+)/, "{$1}"),
    Object.fromEntries(Object.entries(operations).map(([method, operation]) => [method, withErrors(operation)])),
  ]);
  const schemas = Object.entries(COMPONENTS).map(([name, schema]) => [name, schemaOf(schema)]);
  return {
    openapi: "3.1.0",
    info: {
      title: "rubato",
      version: "1",
      description: "Runs of agents that can be stopped, redirected and resumed at any moment.",
    },
    paths: Object.fromEntries(paths),
    components: {
      schemas: Object.fromEntries(schemas),
      ...(token === undefined ? {} : { securitySchemes: { token: { type: "http", scheme: "bearer" } } }),
    },
    ...(token === undefined ? {} : { security: [{ token: [] }] }),
  };
}

function withErrors(operation: Description): Description {
  const { responses } = operation;
  return {
    ...operation,
    responses: {
      ...(typeof responses === "object" ? responses : {}),
      default: answer("An error.", reference("Error")),
    },
  };
}
