import { placeOf } from "../model/place.ts";
import { keepToken, takeToken } from "./address.ts";
import { connectTo, isPassing, isUnauthorized, sentenceOf } from "./client-connection.ts";
import type { Connection } from "./connection.ts";
import { lookAgain } from "./look-again.ts";
import type { Opener } from "./opener.ts";
import { feedText, piecesOf } from "./feeder.ts";
import type { Session } from "./session.ts";

/** How often the list of runs is asked for anew, ms. */
const LOOK_AGAIN = 5_000;

/** Whether something is open now, or why not, where something went wrong. */
export interface Opened {
  readonly opened: boolean;
  readonly why?: string;
}

/** The way to the server, with a token. */
export type Connect = (token: string | undefined) => Connection;

/** Opens what the server that the page came from has to show. */
export async function openServer(session: Session, opener: Opener): Promise<Opened> {
  if (!/^https?:$/.test(location.protocol)) return { opened: false };
  const { run, file, sample } = placeOf(location.hash);
  const token = takeToken();
  if (file !== undefined) {
    await openServed(session, opener, file, token);
    return { opened: true };
  }
  const base = new URL(".", location.href).href;
  const server = new Server(session, opener, (said) => connectTo(base, said));
  return server.open(token, sample === true ? undefined : { run });
}

/** The file that the server was begun with. */
async function openServed(session: Session, opener: Opener, name: string, token: string | undefined): Promise<void> {
  const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  const side = opener.begin("file", name);
  session.served = name;
  let answer: Response;
  try {
    answer = await fetch("inspect/log", { headers });
  } catch {
    session.say("The server does not answer. Start rubato inspect again, and open the address that it prints.");
    return;
  }
  if (!answer.ok) {
    session.say(`The server does not give the file (${answer.status}). Open the address that rubato inspect printed.`);
    return;
  }
  await feedText(session, side, piecesOf(answer.body, Number(answer.headers.get("content-length") ?? 0)), name);
  opener.judge(side, `"${name}" holds no events.`);
}

/** The server that the page came from: its runs, and the token that it wants. */
export class Server {
  private readonly session: Session;
  private readonly opener: Opener;
  private readonly connect: Connect;

  constructor(session: Session, opener: Opener, connect: Connect) {
    this.session = session;
    this.opener = opener;
    this.connect = connect;
  }

  /** Opens the run that is named, or the newest; none of them where nothing is wanted but the list. */
  async open(token: string | undefined, wanted: { readonly run: string | undefined } | undefined): Promise<Opened> {
    const { session } = this;
    for (let known = false; !known;) {
      try {
        await this.knock(token);
        known = true;
      } catch (error) {
        // An address that names a run is of a server that had it.
        if (wanted?.run === undefined && !isPassing(error)) {
          return { opened: false, why: `The server has no list of runs: ${sentenceOf(error)}` };
        }
        session.say(`${sentenceOf(error)} The server is asked again for its runs.`);
        await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN));
      }
      // Somebody opened a file meanwhile.
      if (session.origin !== "none") return { opened: true };
    }
    session.notice = undefined;
    const runId = wanted === undefined ? undefined : (wanted.run ?? session.runs[0]?.runId);
    if (session.connection === undefined || runId === undefined) return { opened: false };
    this.opener.openRun(session.connection, runId);
    return { opened: true };
  }

  /** Asks for the list of runs until the server lets us in. Rejects where it has none. */
  private async knock(first: string | undefined): Promise<void> {
    const { session } = this;
    let token = first;
    for (;;) {
      const connection = this.connect(token);
      session.asking = true;
      session.changed();
      try {
        session.runs = await connection.runs();
        session.connection = connection;
        if (token !== undefined) keepToken(token);
        this.watch(connection, token);
        return;
      } catch (error) {
        if (!isUnauthorized(error)) throw error;
      } finally {
        session.asking = false;
        session.changed();
      }
      const refused = token !== undefined;
      token = await new Promise<string>((resolve) => {
        session.asksToken = { refused, take: resolve };
      });
      session.asksToken = undefined;
    }
  }

  /** New runs come into the list. What goes wrong with that is said by the run that is open, but for the token. */
  private watch(connection: Connection, token: string | undefined): void {
    const { session } = this;
    const stop = lookAgain(async () => {
      if (document.hidden) return;
      try {
        session.runs = await connection.runs();
        session.changed();
      } catch (error) {
        if (!isUnauthorized(error)) return;
        stop();
        await this.comeBack(token);
      }
    }, LOOK_AGAIN);
  }

  /** A server that was begun anew has another token: what is open stays until somebody types that, and goes on then. */
  private async comeBack(token: string | undefined): Promise<void> {
    const { session } = this;
    try {
      await this.knock(token);
    } catch {
      // It is away again: the run that is open says so, and it is looked after.
      if (session.connection !== undefined) this.watch(session.connection, token);
      return;
    }
    const { connection, origin, line, title } = session;
    if (connection === undefined || origin !== "run" || line === "open") return;
    this.opener.openRun(connection, title, session.following ? undefined : session.seq);
  }
}
