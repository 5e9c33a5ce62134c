import { placeOf } from "../model/place.ts";
import { connectTo, isUnauthorized } from "./client-connection.ts";
import type { Connection } from "./connection.ts";
import { feedText, piecesOf } from "./feeder.ts";
import { lookAgain } from "./look-again.ts";
import { keepToken, takeToken, type Opener } from "./opener.ts";
import type { Session } from "./session.ts";

/** How often the list of runs is asked for anew, ms. */
const LOOK_AGAIN = 5_000;

/** Opens what the server that the page came from has to show. False: it has nothing, or there is none. */
export async function openServer(session: Session, opener: Opener): Promise<boolean> {
  if (!/^https?:$/.test(location.protocol)) return false;
  const { run, file } = placeOf(location.hash);
  const token = takeToken();
  if (file !== undefined) {
    await openServed(session, opener, file, token);
    return true;
  }
  const base = new URL(".", location.href).href;
  const runs = await knock(session, base, token);
  if (runs === undefined) return false;
  const { connection } = session;
  const wanted = run ?? runs[0]?.runId;
  if (connection === undefined || wanted === undefined) return false;
  opener.openRun(connection, wanted);
  return true;
}

/** The file that the server was begun with. */
async function openServed(session: Session, opener: Opener, name: string, token: string | undefined): Promise<void> {
  const side = opener.begin("file", name);
  session.served = name;
  const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  const answer = await fetch("inspect/log", { headers });
  if (!answer.ok) {
    session.say(`The server does not give the file (${answer.status}). Open the address that rubato inspect printed.`);
    return;
  }
  await feedText(session, side, piecesOf(answer.body, Number(answer.headers.get("content-length") ?? 0)), name);
}

/** The runs of the server, once it lets us in; undefined where there is none. */
async function knock(session: Session, base: string, first: string | undefined): Promise<Session["runs"] | undefined> {
  let token = first;
  for (;;) {
    const connection = connectTo(base, token);
    session.asking = true;
    session.changed();
    try {
      session.runs = await connection.runs();
      session.connection = connection;
      session.asksToken = undefined;
      session.asking = false;
      session.changed();
      if (token !== undefined) keepToken(token);
      watchRuns(session, connection);
      return session.runs;
    } catch (error) {
      session.asking = false;
      if (!isUnauthorized(error)) {
        session.say(`The server has no list of runs: ${error instanceof Error ? error.message : "unknown"}`);
        return undefined;
      }
      token = await new Promise((resolve) => {
        session.asksToken = resolve;
        session.changed();
      });
    }
  }
}

/** New runs come into the list. What goes wrong with that is said by the run that is open. */
function watchRuns(session: Session, connection: Connection): void {
  lookAgain(async () => {
    if (document.hidden) return;
    session.runs = await connection.runs();
    session.changed();
  }, LOOK_AGAIN);
}
