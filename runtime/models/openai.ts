import { inspect } from "node:util";
import { RubatoError } from "../errors.ts";
import { stopOf } from "../lazy-signal.ts";
import type { ChatModel, ModelRequest } from "./chat-model.ts";
import {
  endpointOf,
  loadOpenAI,
  resolveEndpoint,
  type ChatBody,
  type ChatClient,
  type Endpoint,
  type LoadSdk,
} from "./openai-client.ts";
import { toWireMessages, toWireTools } from "./openai-messages.ts";
import { FreeConnections } from "./openai-connection.ts";
import { streamChat, type StreamSettings } from "./openai-stream.ts";
import { setNodeTimer, type SetTimer } from "./openai-watchdog.ts";
import { isRecord } from "../is-record.ts";

/** Which tool the model must call: its own choice, none, any, or the named one. Applies to every request of a run. */
export type ToolChoice = "auto" | "none" | "required" | { readonly name: string };

export interface OpenAIModelOptions {
  /** The model's name at the endpoint. */
  readonly model: string;
  /** An http(s) address of an OpenAI-compatible API, as a rule ending in `/v1`. Default: OPENAI_BASE_URL, else OpenAI's own service. */
  readonly baseURL?: string;
  /** Default: OPENAI_API_KEY. Endpoints other than OpenAI's own may need none. */
  readonly apiKey?: string;
  /**
   * A client of the `openai` package, made by the program, in place of `baseURL` and `apiKey`. It is used as it is: its headers, its `fetch`
   * and its logger. Its retries are switched off for rubato's requests. The body of an answer is read by rubato itself, unless `create` is a
   * wrapper that answers with a plain promise: then the stream that it gives is read, which may print bad frames to the console.
   */
  readonly client?: ChatClient;
  /** Default `chat`: the Chat Completions API. `responses` comes later and is refused until then. */
  readonly api?: "chat" | "responses";
  /** 0 to 2. Default: the endpoint's own. */
  readonly temperature?: number;
  /** The most tokens that one answer may have, from 1. Default: the endpoint's own. */
  readonly maxTokens?: number;
  /** Default: the endpoint's own, which is `auto`. Left out of requests without tools. */
  readonly toolChoice?: ToolChoice;
  /** Further fields of the request's body, for instance `{ reasoning_effort: "low" }`. They win over the fields that rubato sets by itself. */
  readonly extraBody?: Readonly<Record<string, unknown>>;
  /**
   * Milliseconds until there is a connection (`connect_timeout`). 1 to 86,400,000, default 10,000, after which `fetch` itself gives up. Where a
   * client has a `fetch` of its own that is not undici's, nobody can tell and `headerTimeoutMs` alone counts.
   */
  readonly connectTimeoutMs?: number;
  /**
   * Milliseconds until the answer begins (`first_byte_timeout`), in which a local endpoint may load the model. 1 to 86,400,000, default 120,000.
   * `fetch` itself gives up after 300,000. An agent has a limit of its own as well: `timeouts.firstByteMs`.
   */
  readonly headerTimeoutMs?: number;
  /** Milliseconds that may pass between two frames of an answer (`idle_timeout`). 1 to 86,400,000, default 60,000. `fetch` itself gives up after 300,000. */
  readonly idleTimeoutMs?: number;
  /** Milliseconds for the whole answer (`total_timeout`). 1 to 86,400,000, default 1,800,000. */
  readonly totalTimeoutMs?: number;
}

/** What a test replaces: the clock and the package. */
export interface OpenAIModelSeams {
  readonly setTimer?: SetTimer;
  readonly load?: LoadSdk;
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/**
 * A model behind an OpenAI-compatible endpoint, over the `openai` package, streaming. The package is loaded at the first request.
 *
 * A request is sent once, with an `x-client-request-id` of its own: retrying is the run's business. Whatever goes wrong is thrown from the stream
 * as a {@link RubatoError} whose message is fit for people and holds no credential: with code `connect_timeout`, `first_byte_timeout`,
 * `idle_timeout` or `total_timeout` where it took too long, else `model`; `modelFailureOf(error)` tells a program what it was. A stream that
 * ends without `finish` was cut by the other side.
 *
 * @throws RubatoError `invalid_option` for options that cannot work, `missing_key` when OpenAI's own service is asked without a key. From the
 * stream also `missing_package` when `openai` is not installed.
 */
export function openaiModel(options: OpenAIModelOptions): ChatModel {
  return openaiModelWith(options, {});
}

/** @internal {@link openaiModel} with what a test replaces. */
export function openaiModelWith(options: OpenAIModelOptions, seams: OpenAIModelSeams): ChatModel {
  checkOptions(options);
  const { model, client } = options;
  const endpoint =
    client === undefined
      ? resolveEndpoint(
          { baseURL: options.baseURL, apiKey: options.apiKey },
          seams.environment ?? process.env,
          seams.load ?? loadOpenAI,
        )
      : endpointOf(client);
  const settings: StreamSettings = {
    endpoint,
    connections: new FreeConnections(),
    connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
    headerTimeoutMs: options.headerTimeoutMs ?? 120_000,
    idleTimeoutMs: options.idleTimeoutMs ?? 60_000,
    totalTimeoutMs: options.totalTimeoutMs ?? 1_800_000,
    setTimer: seams.setTimer ?? setNodeTimer,
  };
  return {
    name: model,
    stream: (request, call) => streamChat(chatBody(options, endpoint, request), stopOf(call), settings, request),
  };
}

function chatBody(options: OpenAIModelOptions, endpoint: Endpoint, request: ModelRequest): ChatBody {
  const { model, temperature, maxTokens, toolChoice, extraBody } = options;
  const hasTools = request.tools.length > 0;
  return {
    model,
    messages: toWireMessages(request),
    stream: true,
    stream_options: { include_usage: true },
    ...(hasTools ? { tools: toWireTools(request.tools) } : undefined),
    ...(hasTools && toolChoice !== undefined ? { tool_choice: wireToolChoice(toolChoice) } : undefined),
    ...(temperature === undefined ? undefined : { temperature }),
    // OpenAI's newer models refuse the old name; most compatible endpoints know no other.
    ...(maxTokens === undefined
      ? undefined
      : endpoint.official
        ? { max_completion_tokens: maxTokens }
        : { max_tokens: maxTokens }),
    ...extraBody,
  };
}

function wireToolChoice(choice: ToolChoice): unknown {
  return typeof choice === "string" ? choice : { type: "function", function: { name: choice.name } };
}

const KNOWN = [
  "model",
  "baseURL",
  "apiKey",
  "client",
  "api",
  "temperature",
  "maxTokens",
  "toolChoice",
  "extraBody",
  "connectTimeoutMs",
  "headerTimeoutMs",
  "idleTimeoutMs",
  "totalTimeoutMs",
];
/** Fields of the body that carry the run itself. */
const RESERVED = ["model", "messages", "tools", "stream", "n"];
const DAY_MS = 86_400_000;

function checkOptions(options: OpenAIModelOptions): void {
  // A misspelt baseURL would send the run, and the key, to another endpoint.
  const unknown = Object.keys(options).find((key) => !KNOWN.includes(key));
  if (unknown !== undefined) throw invalid(`has no option ${JSON.stringify(unknown)}: it knows ${KNOWN.join(", ")}`);
  const { model, baseURL, apiKey, client, api, temperature, maxTokens, toolChoice, extraBody } = options;
  if (typeof model !== "string" || model.trim() === "") throw invalid(`needs a model's name, got ${show(model)}`);
  if (api === "responses") throw invalid('does not speak the Responses API yet: leave out api, or set it to "chat"');
  if (api !== undefined && api !== "chat") throw invalid(`: api must be "chat", got ${show(api)}`);
  if (baseURL !== undefined && typeof baseURL !== "string") throw invalid(`: baseURL must be a string`);
  if (apiKey !== undefined && typeof apiKey !== "string") throw invalid(`: apiKey must be a string`);
  if (client !== undefined) {
    if (typeof client.chat?.completions?.create !== "function") {
      throw invalid(": client must be a client of the openai package");
    }
    if (baseURL !== undefined || apiKey !== undefined) {
      throw invalid(": a client brings its own baseURL and apiKey, leave these out");
    }
  }
  if (temperature !== undefined && !(typeof temperature === "number" && temperature >= 0 && temperature <= 2)) {
    throw invalid(`: temperature must be a number from 0 to 2, got ${show(temperature)}`);
  }
  if (maxTokens !== undefined && !(Number.isSafeInteger(maxTokens) && maxTokens >= 1)) {
    throw invalid(`: maxTokens must be a whole number from 1, got ${show(maxTokens)}`);
  }
  for (const key of ["connectTimeoutMs", "headerTimeoutMs", "idleTimeoutMs", "totalTimeoutMs"] as const) {
    const ms = options[key];
    if (ms !== undefined && !(Number.isSafeInteger(ms) && ms >= 1 && ms <= DAY_MS)) {
      throw invalid(`: ${key} must be a whole number of milliseconds from 1 to ${DAY_MS}, got ${show(ms)}`);
    }
  }
  if (toolChoice !== undefined && !isToolChoice(toolChoice)) {
    throw invalid(`: toolChoice must be "auto", "none", "required" or { name }, got ${show(toolChoice)}`);
  }
  if (extraBody !== undefined) {
    if (!isRecord(extraBody)) throw invalid(`: extraBody must be an object, got ${show(extraBody)}`);
    const reserved = RESERVED.find((key) => Object.hasOwn(extraBody, key));
    if (reserved !== undefined) throw invalid(`: extraBody cannot set ${reserved}, which the run sets itself`);
  }
}

function isToolChoice(choice: unknown): boolean {
  if (typeof choice === "string") return choice === "auto" || choice === "none" || choice === "required";
  return isRecord(choice) && typeof choice["name"] === "string" && choice["name"] !== "";
}

function invalid(what: string): RubatoError {
  return new RubatoError("invalid_option", `openaiModel${what.startsWith(":") ? "" : " "}${what}.`);
}

function show(value: unknown): string {
  const text = inspect(value, { depth: 1, breakLength: Infinity });
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}
