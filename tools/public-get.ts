import type { LookupAddress } from "node:dns";
import { lookup as systemLookup } from "node:dns/promises";
import { once } from "node:events";
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { isPublicAddress } from "./public-address.ts";

/**
 * One GET request to a public address.
 *
 * 1. What is checked is the address that is connected to: a name is looked up once, and what the check let through is what the socket gets. A name
 *    that leads elsewhere the next time (DNS rebinding) is checked anew, since nothing is kept between two requests.
 * 2. The address of the connected socket is checked again before a byte is sent, whatever led there.
 * 3. No proxy: it would connect where it likes. Proxy variables of the environment are not read.
 * 4. Redirects are answers, not followed.
 */
export interface Reach {
  /** Addresses that may be connected to besides public ones. */
  readonly allow: (address: string) => boolean;
  /** The addresses of a name. */
  readonly lookup: (hostname: string) => Promise<readonly string[]>;
}

export async function lookupAll(hostname: string): Promise<string[]> {
  const found = await systemLookup(hostname, { all: true, verbatim: true });
  return found.map(({ address }) => address);
}

/** Why a URL is not fetched, as one sentence without its subject; undefined where nothing speaks against it before its name is looked up. */
export function urlProblem(url: URL, reach: Pick<Reach, "allow">): string | undefined {
  if (url.protocol !== "http:" && url.protocol !== "https:") return "is no http or https URL. Use one";
  if (url.username !== "" || url.password !== "") return "holds a user name or password. Leave them out";
  // The parser drops a scheme's own port. Below 1024 live services that take what a GET sends for commands of their own.
  if (url.port !== "" && url.port !== "80" && url.port !== "443" && Number(url.port) < 1024) {
    return `uses port ${url.port}. Use 80, 443, or one from 1024`;
  }
  const address = hostOf(url);
  if (isIP(address) !== 0 && !permits(reach, address)) return notPublic;
  return undefined;
}

/**
 * Sends the request; the answer's body is not read yet. Whoever gets it destroys it.
 * @throws {Refused} For a URL or a name that leads to no address that is permitted. What the network says is thrown as it is.
 */
export async function getPublic(url: URL, reach: Reach, signal: AbortSignal): Promise<IncomingMessage> {
  const problem = urlProblem(url, reach);
  if (problem !== undefined) throw new Refused(`"${url.href}" ${problem}.`);
  const refused = () => new Refused(`"${url.host}" ${notPublic}.`);
  const permitted = await permittedAddresses(hostOf(url), reach, signal);
  const [first] = permitted;
  if (first === undefined) throw refused();
  // The name was looked up: whoever asks for its addresses gets these.
  const lookup: LookupFunction = (_hostname, { all = false }, callback) => {
    process.nextTick(() => {
      if (all) callback(null, permitted);
      else callback(null, first.address, first.family);
    });
  };
  const options = {
    signal,
    lookup,
    headers: {
      accept: "text/*, application/json, application/xml, */*;q=0.1",
      "accept-encoding": "gzip, deflate, br",
      "user-agent": "rubato",
    },
  };
  return new Promise((resolve, reject) => {
    // An agent of its own: no connection of another request is used, and no proxy of the global one.
    const request =
      url.protocol === "https:"
        ? httpsRequest(url, { ...options, agent: new HttpsAgent({ keepAlive: false }) })
        : httpRequest(url, { ...options, agent: new HttpAgent({ keepAlive: false }) });
    request.once("socket", (socket) => {
      // Before the listener that sends what was written meanwhile.
      socket.prependOnceListener("connect", () => {
        if (!permits(reach, socket.remoteAddress ?? "")) request.destroy(refused());
      });
    });
    request.once("response", resolve);
    request.once("error", reject);
    request.end();
  });
}

/** An address that is not to be connected to. Its message is for the model; it does not name the address, which is nobody's business outside. */
export class Refused extends Error {}

const notPublic = "leads to an address that is not public. Only public addresses are fetched";

async function permittedAddresses(host: string, reach: Reach, signal: AbortSignal): Promise<LookupAddress[]> {
  const addresses = isIP(host) === 0 ? await unlessAborted(reach.lookup(host), signal) : [host];
  return addresses.filter((address) => permits(reach, address)).map((address) => ({ address, family: isIP(address) }));
}

/** A look-up cannot be stopped: it is left alone. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const listening = new AbortController();
  const aborted = once(signal, "abort", listening).then(() => Promise.reject(new Error("It was stopped.")));
  try {
    signal.throwIfAborted();
    return await Promise.race([work, aborted]);
  } finally {
    listening.abort();
    aborted.catch(() => {});
  }
}

function permits({ allow }: Pick<Reach, "allow">, address: string): boolean {
  return isPublicAddress(address) || (isIP(address) !== 0 && allow(address));
}

/** Without the brackets of an IPv6 address. */
function hostOf(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, "$1");
}
