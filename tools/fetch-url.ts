import type { IncomingMessage } from "node:http";
import { z } from "zod";
import { getPublic, lookupAll, Refused, urlProblem, type Reach } from "./public-get.ts";
import { decodeBody, isTextType, readBody, typeOf } from "./text-body.ts";
import { defineTool, type ApprovalPolicy } from "./tool.ts";

const kib = 1024;
const maxRedirects = 5;

export interface FetchUrlOptions {
  /** Addresses that may be connected to although they are not public: `(address) => address === "10.0.0.7"`. Default: none. */
  readonly allow?: (address: string) => boolean;
  /** Looks a name up. Default: as the system does. What it answers is checked. */
  readonly lookup?: (hostname: string) => Promise<readonly string[]>;
  /** Milliseconds for the whole answer, redirects included, 1 to 2147483647. Default 30,000. */
  readonly timeoutMs?: number;
  /** Default `always`. */
  readonly approval?: ApprovalPolicy<{ url: string; maxBytes: number }>;
}

/**
 * Tool `fetch_url`: gets a text from the public web with GET, by http or https.
 *
 * Answers `{ url, status, contentType?, text, truncated? }`: `url` is where the redirects (at most 5) led; a status such as 404 is an answer, not
 * an error. Text types only, decoded by their character set, at most `maxBytes` (default 64 KiB, up to 1 MiB); then `truncated: true`. Only public
 * addresses are connected to, see `public-get.ts`; ports 80, 443 and those from 1024. It sends no cookie and no credential.
 */
export function fetchUrl(options: FetchUrlOptions = {}) {
  const { timeoutMs = 30_000, allow = () => false, lookup = lookupAll } = options;
  const reach: Reach = { allow, lookup };
  return defineTool({
    name: "fetch_url",
    description:
      "Gets a text (a page, JSON, XML) from a public http or https URL. Answers the raw text, at most 64 KiB unless maxBytes says more.",
    input: z.object({
      url: z
        .string()
        .max(8 * kib)
        .superRefine((text, ctx) => {
          // Before a person is asked.
          const problem = URL.canParse(text) ? urlProblem(new URL(text), reach) : "is no URL. Use one with https://";
          if (problem !== undefined) ctx.addIssue(`It ${problem}`);
        })
        .describe("The URL, with http:// or https://"),
      maxBytes: z
        .int()
        .min(1)
        .max(kib * kib)
        .default(64 * kib)
        .describe("How much of the text, in bytes. Default: 65536"),
    }),
    approval: options.approval ?? "always",
    // GET changes nothing where the web's rules are kept.
    idempotent: true,
    async execute({ url, maxBytes }, { signal }) {
      signal.throwIfAborted();
      const controller = new AbortController();
      const stop = () => {
        controller.abort();
      };
      signal.addEventListener("abort", stop, { once: true });
      const timer = setTimeout(stop, timeoutMs);
      let response: IncomingMessage | undefined;
      try {
        let at = parse(url);
        for (let redirects = 0; ; redirects++) {
          response = await getPublic(at, reach, controller.signal);
          const next = redirectOf(response);
          if (next === undefined) return { url: at.href, ...(await answerOf(response, maxBytes)) };
          response.destroy();
          if (redirects === maxRedirects) throw new Refused(`"${url}" redirects more than ${maxRedirects} times.`);
          at = parse(next, at);
        }
      } catch (error) {
        if (signal.aborted)
          throw new Error("The request was stopped before its answer was complete.", { cause: error });
        if (controller.signal.aborted)
          throw new Error(`"${url}" gave no complete answer within ${timeoutMs / 1000} seconds.`, { cause: error });
        throw networkProblem(error, url);
      } finally {
        clearTimeout(timer);
        signal.removeEventListener("abort", stop);
        response?.destroy();
      }
    },
  });
}

function parse(text: string, base?: URL): URL {
  if (!URL.canParse(text, base?.href)) throw new Refused(`"${text}" is no URL. Use one with https://.`);
  return new URL(text, base?.href);
}

function redirectOf({ statusCode = 0, headers }: IncomingMessage): string | undefined {
  return [301, 302, 303, 307, 308].includes(statusCode) ? headers.location : undefined;
}

async function answerOf(response: IncomingMessage, maxBytes: number) {
  const { statusCode: status = 0 } = response;
  const type = typeOf(response);
  const contentType = response.headers["content-type"];
  if (type === undefined || !isTextType(type)) {
    // Without a body there is no type to tell.
    const empty = contentType === undefined && (await readBody(response, 1)).bytes.length === 0;
    if (!empty)
      throw new Refused(
        `The answer (status ${status}) is ${contentType ?? "of no known type"}, not text, so it is not read.`,
      );
  }
  const body = await readBody(response, maxBytes);
  return {
    status,
    ...(contentType === undefined ? {} : { contentType }),
    text: decodeBody(body, type),
    ...(body.cut ? { truncated: true } : {}),
  };
}

/** The sentence for what the network says; a refusal as it is. */
function networkProblem(error: unknown, url: string): unknown {
  if (!(error instanceof Error) || error instanceof Refused) return error;
  const code = "code" in error ? String(error.code) : error.message;
  switch (code) {
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new Error(`The host of "${url}" cannot be found. Check its name.`, { cause: error });
    case "ECONNREFUSED":
      return new Error(`The host of "${url}" takes no connection there.`, { cause: error });
    default:
      return new Error(`"${url}" could not be fetched (${code}).`, { cause: error });
  }
}
