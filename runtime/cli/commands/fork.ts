import type { Json } from "../../../machines/events.ts";
import { jsonSchema } from "../../../machines/events.ts";
import { EXIT } from "../exit-code.ts";
import { shortId } from "../find-run.ts";
import type { Io } from "../io.ts";
import { onlyRunAndText, type LogCommand } from "../log-command.ts";
import { showRun } from "../one-shot.ts";
import { openAgent } from "../open-run.ts";
import { AGENT_OPTIONS } from "../settings.ts";
import { countOf } from "../values.ts";

export const forkCommand: LogCommand = {
  name: "fork",
  usage: 'fork RUN --at SEQ ["INSTRUCTION"] [--model M] [--result CALL=JSON]',
  says: "copies it up to a seq, as a run of its own",
  details: [
    ['"INSTRUCTION"', "it goes on with that at once; without, it rests"],
    ["--at SEQ", "the last event of the copy; also in the middle of an answer (show and replay say which)"],
    ["--result CALL=JSON", "what a call answers in the copy instead, such as 1.0=42; may be given several times"],
    ["--model M", "the copy goes on with that model"],
  ],
  options: ["at", "result", "json", ...AGENT_OPTIONS],
  read(line) {
    const { values } = line;
    const named = onlyRunAndText(line, "fork");
    if (typeof named === "string") return named;
    const at = countOf("at", values.at, 1);
    if (at === undefined) return '"fork" needs --at SEQ: the last event of the copy.';
    if (typeof at === "string") return at;
    const results = readResults(values.result ?? []);
    if (typeof results === "string") return results;
    return (io) => fork(io, { ...named, at, results, json: values.json === true });
  },
};

type Results = Readonly<Record<string, { readonly output: Json }>>;

interface Wanted {
  readonly run: string;
  readonly text: string | undefined;
  readonly at: number;
  readonly results: Results;
  readonly json: boolean;
}

/** `1.0=42` as the call and its result. */
export function readResults(words: readonly string[]): Results | string {
  const results: [string, { readonly output: Json }][] = [];
  for (const word of words) {
    const [, call = "", text = ""] = /^([^=]+)=([\s\S]*)$/.exec(word) ?? [];
    const output = call === "" ? undefined : parsed(text);
    if (output === undefined) return `--result must be CALL=JSON, such as 1.0=42 or 1.0='"text"'; got ${word}.`;
    results.push([call, { output }]);
  }
  return Object.fromEntries(results);
}

function parsed(text: string): Json | undefined {
  try {
    return jsonSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

async function fork(io: Io, { run: word, text, at, results, json }: Wanted): Promise<number> {
  const opened = await openAgent(io, word);
  if (typeof opened === "number") return opened;
  const { agent, runId } = opened;
  const { out, err, onSignal, onUnread, goOn, askLine } = io;
  try {
    const run = await agent.fork(runId, { at, results, ...(text === undefined ? {} : { instruction: text }) });
    const edited = Object.keys(results);
    const more = edited.length === 0 ? "" : `, with other results of ${edited.join(", ")}`;
    await err.write(`fork of ${shortId(runId)} at seq ${at}${more}: ${run.id}\n`);
    if (text !== undefined) {
      return await showRun(run, at, { agent, json, out, err, onSignal, onUnread, goOn, askLine });
    }
    await out.write(`${run.id}\n`);
    await err.write(`to go on: ${goOn} resume ${shortId(run.id)} ["instruction"]\n`);
    return EXIT.done;
  } finally {
    await agent.close();
  }
}
