import { randomBytes } from "node:crypto";
import { statSync } from "node:fs";
import type { FileServer } from "../../inspect/file-server.ts";
import { EXIT } from "../exit-code.ts";
import { findRun, needLog } from "../find-run.ts";
import type { Io } from "../io.ts";
import type { LogCommand } from "../log-command.ts";
import { AGENT_OPTIONS } from "../settings.ts";
import { countOf } from "../values.ts";
import { serveRuns } from "./serve.ts";

export const inspectCommand: LogCommand = {
  name: "inspect",
  usage: "inspect [RUN | FILE] [--port N]",
  says: "the visualizer in a browser: a run as it goes on, or a log that was exported",
  details: [
    ["--port N", "default: a free one"],
    ["FILE", "what rubato export wrote; nothing else is read then"],
  ],
  options: ["port", ...AGENT_OPTIONS],
  read({ words, values }) {
    const [word, more] = words;
    if (more !== undefined) return `"inspect" takes one run or file, got ${JSON.stringify(more)} behind it.`;
    const port = countOf("port", values.port, 0, 65_535);
    if (typeof port === "string") return port;
    return async (io) => {
      if (word !== undefined && isFile(word)) return inspectFile(io, word, port ?? 0);
      const runId = word === undefined ? undefined : await findRun(io, needLog(io), word);
      return inspectRuns(io, runId, port ?? 0);
    };
  },
};

/** Only the one who sees this address may look: other users of the machine reach the port too. */
function newToken(): string {
  return randomBytes(24).toString("base64url");
}

async function inspectRuns(io: Io, runId: string | undefined, port: number): Promise<number> {
  const token = newToken();
  const place = new URLSearchParams({ ...(runId === undefined ? {} : { run: runId }), token });
  return serveRuns(io, {
    port,
    host: undefined,
    token,
    origins: [],
    others: true,
    said: ({ url }) => ({ out: `${url}/inspect#${place.toString()}`, err: HINT }),
  });
}

async function inspectFile(io: Io, file: string, port: number): Promise<number> {
  const token = newToken();
  let server: FileServer | undefined;
  let stop = (): void => {};
  const stopped = new Promise<void>((resolve) => {
    stop = resolve;
  });
  const undo = io.onSignal(() => {
    stop();
  });
  try {
    const { serveFile } = await import("../../inspect/file-server.ts");
    server = await serveFile({ file, port, token });
    await io.out.write(`${server.url}\n`);
    await io.err.write(HINT);
    await stopped;
    return EXIT.done;
  } finally {
    undo();
    await server?.close();
  }
}

const HINT = "Open it in a browser. Ctrl-C ends.\n";

function isFile(word: string): boolean {
  return statSync(word, { throwIfNoEntry: false })?.isFile() ?? false;
}
