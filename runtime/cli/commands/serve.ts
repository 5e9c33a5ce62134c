import { messageOf } from "../../errors.ts";
import type { RubatoServer } from "../../server/serve.ts";
import { createTasks } from "../../tasks.ts";
import { EXIT } from "../exit-code.ts";
import type { Io } from "../io.ts";
import type { LogCommand } from "../log-command.ts";
import { oneLine } from "../sanitizer.ts";
import { AGENT_OPTIONS } from "../settings.ts";
import { countOf } from "../values.ts";

export const serveCommand: LogCommand = {
  name: "serve",
  usage: "serve [--port N] [--host ADDRESS] [--token TOKEN] [--origin ORIGIN]",
  says: "serves the agent and its runs over HTTP, until Ctrl-C",
  details: [
    ["--port N", "default 8787; 0 takes a free one"],
    ["--host ADDRESS", "default 127.0.0.1; any other needs a token"],
    ["--token TOKEN", "what every request has to carry; better in RUBATO_TOKEN, where no list of processes shows it"],
    ["--origin ORIGIN", "a page of another origin that may talk to it, such as https://app.example; several times"],
  ],
  options: ["port", "host", "token", "origin", "no-log", ...AGENT_OPTIONS],
  read({ words, values }) {
    const [more] = words;
    if (more !== undefined) return `"serve" takes no words, got ${JSON.stringify(more)}.`;
    const port = countOf("port", values.port, 0, 65_535);
    if (typeof port === "string") return port;
    const { host, token, origin: origins = [] } = values;
    return (io) => serveRuns(io, { port, host, token: token ?? io.env["RUBATO_TOKEN"], origins, others: false, said });
  },
};

/** A server of the agent's runs, as its command wants it. */
export interface Wanted {
  readonly port: number | undefined;
  readonly host: string | undefined;
  readonly token: string | undefined;
  readonly origins: readonly string[];
  /** Also what other agents keep in the same log. */
  readonly others: boolean;
  /** What is told once it listens. */
  readonly said: (server: RubatoServer, hasToken: boolean) => { readonly out: string; readonly err: string };
}

/** Serves the agent and its runs until a signal. */
export async function serveRuns(io: Io, { port, host, token, origins, others, said }: Wanted): Promise<number> {
  let stop = (): void => {};
  const stopped = new Promise<void>((resolve) => {
    stop = resolve;
  });
  const undo = io.onSignal(() => {
    stop();
  });
  const setup = await io.setUp(io.makeLog());
  if (typeof setup === "string") {
    undo();
    await io.err.write(`rubato: ${oneLine(setup, 1_000)}\n`);
    return EXIT.usage;
  }
  const { agent, notice } = setup;
  const reports = createTasks(100, { taskFailed() {} });
  try {
    // Loaded here: no other command pays for a server.
    const { serve } = await import("../../server/serve.ts");
    const server = await serve({
      agents: agent,
      port,
      host,
      token,
      origins,
      others,
      inspect: true,
      onError(error) {
        reports.start("a report", () => io.err.write(`rubato: ${oneLine(messageOf(error), 1_000)}\n`));
      },
    });
    if (notice !== undefined) await io.err.write(`${notice}\n`);
    const { out, err } = said(server, token !== undefined);
    await io.out.write(`${out}\n`);
    await io.err.write(err);
    await stopped;
    await io.err.write("Closing: what runs is stopped, and can be resumed.\n");
    await server.close();
    return EXIT.done;
  } finally {
    undo();
    await agent.close();
    await reports.idle();
  }
}

function said({ url }: RubatoServer, hasToken: boolean): { out: string; err: string } {
  const bearer = hasToken ? ' -H "Authorization: Bearer $RUBATO_TOKEN"' : "";
  const curl = `Try: curl -N${bearer} -H "Accept: text/event-stream" --json '{"task":"What is 6*7?"}' ${url}/runs\n`;
  return { out: url, err: `Look inside: ${url}/inspect\n${curl}` };
}
