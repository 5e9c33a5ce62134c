import { RubatoError } from "../errors.ts";

/** The address that the `openai` package uses when none is given. */
export const OPENAI_BASE_URL = "https://api.openai.com/v1";

/** What travels with one request: nothing of the SDK's own retrying, and a time limit that lies behind ours. */
export interface CallOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly maxRetries: 0;
  readonly timeout: number;
}

/**
 * The part of an `OpenAI` client that rubato uses, written out so that the types of this package do not need the `openai` package.
 * Every client of that package fits, of version 6 and 7, `AzureOpenAI` included.
 */
export interface ChatClient {
  readonly baseURL?: string;
  readonly apiKey?: string | null;
  readonly chat: {
    readonly completions: {
      create(body: ChatBody, options: CallOptions): PendingAnswer;
    };
  };
  readonly models?: { list(options: CallOptions): PromiseLike<unknown> };
}

/** The promise that the SDK answers with. `asResponse` gives the HTTP answer, whose body nobody has read yet. */
export interface PendingAnswer extends PromiseLike<AsyncIterable<unknown>> {
  asResponse?(): PromiseLike<HttpAnswer>;
}

export interface HttpAnswer {
  readonly headers: { get(name: string): string | null };
  /** A stream of bytes, unless the client's `fetch` is one of another kind. */
  readonly body?: unknown;
}

/** The part of a reader of a web stream that is used. */
export interface BodyReader {
  read(): PromiseLike<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>;
  cancel(reason: unknown): PromiseLike<void>;
}

/** The body of a streaming chat request. Options of the endpoint's own travel beside these. */
export interface ChatBody {
  readonly model: string;
  readonly messages: WireMessage[];
  readonly stream: true;
  readonly stream_options: { readonly include_usage: true };
  readonly tools?: WireTool[];
}

export interface WireTool {
  type: "function";
  function: { name: string; description: string; parameters: Record<string, unknown> };
}

export interface WireCall {
  id: string;
  type: "function";
  function: { name: string; arguments: string };
}

export type WireMessage =
  | { role: "system"; content: string }
  | { role: "user"; content: string }
  | { role: "assistant"; content: string | null; tool_calls?: WireCall[] }
  | { role: "tool"; tool_call_id: string; content: string };

/** Where requests go, and what must never show in a text. */
export interface Endpoint {
  /** For texts: without credentials and query. */
  readonly shown: string;
  /** Whether a key (or a user and password) is sent. */
  readonly hasKey: boolean;
  /** OpenAI's own service or Azure's: the newer parameter names are known there. */
  readonly official: boolean;
  readonly secrets: readonly string[];
  /** Answers the client, made at the first call. */
  client(): Promise<ChatClient>;
}

/** Loads the SDK. Injected, so that a test can leave it out. */
export type LoadSdk = () => Promise<{ OpenAI: new (options: ClientSettings) => ChatClient }>;

interface ClientSettings {
  apiKey: string;
  baseURL: string;
  maxRetries: 0;
  logLevel: "off";
  logger: { error(): void; warn(): void; info(): void; debug(): void };
  defaultHeaders?: Record<string, string>;
}

export const loadOpenAI: LoadSdk = () => import("openai");

const silent = { error() {}, warn() {}, info() {}, debug() {} };

/** An endpoint behind a client that the program made. The client is used as it is, its logger included. */
export function endpointOf(client: ChatClient): Endpoint {
  const url = client.baseURL ?? OPENAI_BASE_URL;
  return {
    shown: URL.canParse(url) ? shownUrl(new URL(url)) : "of the given client",
    hasKey: true,
    official: isOfficial(url),
    secrets: typeof client.apiKey === "string" ? [client.apiKey] : [],
    client: () => Promise.resolve(client),
  };
}

/**
 * Settles where requests go and with which key, from the options and then the environment. Nothing is loaded or sent yet.
 *
 * An endpoint other than OpenAI's own needs no key. A user and password in the URL are sent as Basic authorization, since `fetch` refuses such
 * a URL, and they replace the key of the environment.
 *
 * @throws RubatoError `invalid_option` for a URL or key that cannot work, `missing_key` when OpenAI's own endpoint has no key.
 */
export function resolveEndpoint(
  given: { readonly baseURL: string | undefined; readonly apiKey: string | undefined },
  environment: Readonly<Record<string, string | undefined>>,
  load: LoadSdk,
): Endpoint {
  const fromEnvironment = environment["OPENAI_BASE_URL"]?.trim();
  const text = given.baseURL ?? (fromEnvironment || OPENAI_BASE_URL);
  const named = given.baseURL === undefined && fromEnvironment ? "OPENAI_BASE_URL" : "baseURL";
  const url = parseBaseUrl(text, named);
  const userinfo = decodeUserinfo(url, named);
  if (userinfo !== undefined && given.apiKey !== undefined) {
    throw new RubatoError(
      "invalid_option",
      `openaiModel got both an apiKey and a user in ${named}: only one of them can be sent, leave the other out.`,
    );
  }
  const key = userinfo === undefined ? (given.apiKey ?? environment["OPENAI_API_KEY"] ?? "").trim() : "";
  if (key === "" && userinfo === undefined && url.hostname === new URL(OPENAI_BASE_URL).hostname) {
    throw new RubatoError(
      "missing_key",
      `${OPENAI_BASE_URL} needs a key: set OPENAI_API_KEY, or set OPENAI_BASE_URL (or the option baseURL) to an endpoint that needs none.`,
    );
  }
  if (!/^[\x21-\x7e]*$/.test(key)) {
    // The value stays out of the text: a header with such a value would be refused by fetch in a text that holds it.
    throw new RubatoError(
      "invalid_option",
      `The key ${given.apiKey === undefined ? "in OPENAI_API_KEY" : "given as apiKey"} has a space, line break or other character that no key has: check how it was copied.`,
    );
  }
  url.username = "";
  url.password = "";
  const baseURL = url.href.replace(/\/+$/, "");
  const basic = userinfo === undefined ? undefined : Buffer.from(userinfo, "utf8").toString("base64");
  let made: Promise<ChatClient> | undefined;
  const make = async (): Promise<ChatClient> => {
    const { OpenAI } = await loadOrExplain(load);
    return new OpenAI({
      apiKey: key === "" ? "none" : key,
      baseURL,
      maxRetries: 0,
      logLevel: "off",
      logger: silent,
      ...(basic === undefined ? {} : { defaultHeaders: { Authorization: `Basic ${basic}` } }),
    });
  };
  return {
    shown: shownUrl(url),
    hasKey: key !== "" || basic !== undefined,
    official: isOfficial(baseURL),
    secrets: [key, basic ?? "", secretIn(userinfo)].filter((secret) => secret !== ""),
    client() {
      made ??= make().catch((error: unknown) => {
        made = undefined; // The package may be installed by the time of the next request.
        throw error;
      });
      return made;
    },
  };
}

async function loadOrExplain(load: LoadSdk): ReturnType<LoadSdk> {
  try {
    return await load();
  } catch (error) {
    throw new RubatoError(
      "missing_package",
      'openaiModel needs the package "openai", which could not be loaded: npm install openai',
      {
        cause: error,
      },
    );
  }
}

function parseBaseUrl(text: string, named: string): URL {
  const problem = (what: string) =>
    new RubatoError(
      "invalid_option",
      `${named} must be an http or https URL such as ${OPENAI_BASE_URL}: ${what} (got ${JSON.stringify(hideUserinfo(text))}).`,
    );
  if (!URL.canParse(text)) throw problem("this cannot be read as a URL");
  const url = new URL(text);
  if (url.protocol !== "http:" && url.protocol !== "https:") throw problem("the protocol is another one");
  if (url.search !== "" || url.hash !== "") throw problem("a query or fragment cannot stand there");
  return url;
}

function decodeUserinfo(url: URL, named: string): string | undefined {
  if (url.username === "" && url.password === "") return undefined;
  try {
    return `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  } catch {
    throw new RubatoError("invalid_option", `The user or password in ${named} is not percent-encoded correctly.`);
  }
}

/** The password, or the user where a token stands in its place. */
function secretIn(userinfo: string | undefined): string {
  if (userinfo === undefined) return "";
  const colon = userinfo.indexOf(":");
  return userinfo.slice(colon + 1) || userinfo.slice(0, colon);
}

/** Also for texts that are no valid URL: what stands before an "@" and what follows a "?" may be a secret. */
function hideUserinfo(text: string): string {
  return text.replace(/^([a-z]*:?\/*)[^/]*@/i, "$1").replace(/[?#].*$/s, "?...");
}

function shownUrl(url: URL): string {
  return `${url.origin}${url.pathname}`.replace(/\/+$/, "");
}

function isOfficial(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const host = new URL(url).hostname;
  return host === "api.openai.com" || host.endsWith(".api.openai.com") || host.endsWith(".openai.azure.com");
}
