import { EXIT } from "../exit-code.ts";
import type { Io } from "../io.ts";
import type { LogCommand } from "../log-command.ts";
import { oneLine, safeJson } from "../sanitizer.ts";
import { createScreen } from "../screen.ts";
import { metricsSchema, topRows, type ServerMetrics } from "../top-view.ts";

const HERE = "http://127.0.0.1:8787";
/** How often the server is asked, and how long it may take, ms. */
const EVERY_MS = 1_000;
const ANSWER_MS = 5_000;

export const topCommand: LogCommand = {
  name: "top",
  usage: "top [URL] [--token TOKEN] [--json]",
  says: "what a server does, second by second: rates, latencies, queues, errors, tokens",
  details: [
    ["URL", `of a server of rubato serve; default ${HERE}`],
    ["--token TOKEN", "what the server asks for; better in RUBATO_TOKEN, where no list of processes shows it"],
    ["--json", "the figures once, as JSON; without a terminal they are printed once as well"],
  ],
  options: ["token", "json"],
  read({ words, values }) {
    const [url = HERE, more] = words;
    if (more !== undefined) return `"top" takes one server, got ${JSON.stringify(more)} behind it.`;
    if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
      return `"top" takes the URL of a server, such as ${HERE}; got ${JSON.stringify(url)}.`;
    }
    const { token, json = false } = values;
    const base = url.replace(/\/+$/, "");
    return (io) => {
      const ask = asker(base, token ?? io.env["RUBATO_TOKEN"]);
      return json || io.columns === undefined ? once(io, base, ask, json) : watch(io, base, ask);
    };
  },
};

/** The figures, or a sentence about why there are none. */
type Ask = (signal?: AbortSignal) => Promise<ServerMetrics | string>;

async function once(io: Io, url: string, ask: Ask, json: boolean): Promise<number> {
  const metrics = await ask();
  if (typeof metrics === "string") return failed(io, metrics);
  const rows = json ? [safeJson(metrics, 2)] : topRows(metrics, { url, width: io.columns ?? 120, theme: io.theme });
  await io.out.write(`${rows.map((row) => row.trimEnd()).join("\n")}\n`);
  return EXIT.done;
}

async function failed(io: Io, sentence: string): Promise<number> {
  await io.err.write(`rubato: ${oneLine(sentence, 1_000)}\n`);
  return EXIT.failed;
}

/** Until Ctrl-C. A server that goes away is waited for; what it said last stays. */
async function watch(io: Io, url: string, ask: Ask): Promise<number> {
  const stop = new AbortController();
  const end = (): void => {
    stop.abort();
  };
  const undo = io.onSignal(end);
  io.onUnread(end);
  let drawn = "";
  const screen = createScreen((piece) => {
    drawn += piece;
  });
  try {
    let known: ServerMetrics | undefined;
    let size = `${io.columns} ${io.rows}`;
    while (!stop.signal.aborted) {
      const metrics = await ask(stop.signal);
      if (stop.signal.aborted) break;
      const gone = typeof metrics === "string" ? metrics : undefined;
      if (typeof metrics !== "string") known = metrics;
      if (known === undefined) return await failed(io, gone ?? "");
      const { columns = 80, rows: height } = io;
      const rows = topRows(known, { url, width: columns - 1, theme: io.theme });
      const last = gone === undefined ? io.theme.dim("Ctrl-C ends.") : io.theme.error(oneLine(gone, columns - 1));
      const shown = [...rows.slice(0, Math.max(1, height - 3)), "", last];
      const live = { rows: shown, cursor: { row: shown.length - 1, column: 0 } };
      // In a terminal of another size nobody knows where what was drawn stands.
      if (size === `${columns} ${height}`) screen.paint([], live);
      else screen.redraw([], live, height);
      size = `${columns} ${height}`;
      await io.out.write(drawn);
      drawn = "";
      await io.sleep(EVERY_MS, stop.signal);
    }
    await io.out.write("\n");
    return EXIT.done;
  } finally {
    undo();
  }
}

function asker(url: string, token: string | undefined): Ask {
  const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  return async (signal) => {
    const limit = AbortSignal.timeout(ANSWER_MS);
    try {
      const answer = await fetch(`${url}/api/metrics`, {
        headers,
        // Whoever is sent elsewhere would take the token along.
        redirect: "error",
        signal: signal === undefined ? limit : AbortSignal.any([limit, signal]),
      });
      if (answer.status === 401) return `The server at ${url} needs its token: --token TOKEN, or RUBATO_TOKEN.`;
      const parsed = metricsSchema.safeParse(answer.ok ? JSON.parse(await answer.text()) : undefined);
      if (parsed.success) return parsed.data;
      return `What answers at ${url} (status ${answer.status}) is no server of rubato's.`;
    } catch (error) {
      if (error instanceof SyntaxError) return `What answers at ${url} is no server of rubato's.`;
      return `No server answers at ${url}. Start one with rubato serve, or name another URL.`;
    }
  };
}
