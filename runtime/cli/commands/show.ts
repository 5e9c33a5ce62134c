import { EVENT_TYPES } from "../../../machines/events.ts";
import { lineOf } from "../describe-event.ts";
import { EXIT } from "../exit-code.ts";
import { findRun, needLog } from "../find-run.ts";
import type { Io } from "../io.ts";
import { onlyRun, type LogCommand } from "../log-command.ts";
import { storedEvents } from "../read-log.ts";
import { standsNow } from "../stands-at.ts";
import { safeJson } from "../sanitizer.ts";
import { countOf } from "../values.ts";

export const showCommand: LogCommand = {
  name: "show",
  usage: "show RUN [--from SEQ] [--type TYPES] [--json]",
  says: "its events, one a line",
  details: [["--type TYPES", "only these, separated by commas: message, tool_*, ..."]],
  options: ["json", "from", "type"],
  read(line) {
    const { values } = line;
    const named = onlyRun(line, "show");
    if (typeof named === "string") return named;
    const from = countOf("from", values.from, 1);
    if (typeof from === "string") return from;
    const fits = typesOf(values.type);
    if (typeof fits === "string") return fits;
    return (io) => show(io, named.run, { from: from ?? 1, fits, json: values.json === true });
  },
};

interface Shown {
  readonly from: number;
  readonly fits: (type: string) => boolean;
  readonly json: boolean;
}

async function show(io: Io, word: string, { from, fits, json }: Shown): Promise<number> {
  const log = needLog(io);
  const runId = await findRun(io, log, word);
  for await (const event of storedEvents(log, runId, from - 1)) {
    if (!fits(event.type)) continue;
    await io.out.write(`${json ? safeJson(event) : lineOf(event)}\n`);
    if (io.out.closed) return EXIT.brokenPipe;
  }
  if (json) return EXIT.done;
  for (const line of await standsNow(log, runId, io.program, io.now())) await io.err.write(`${line}\n`);
  return EXIT.done;
}

/** Which types are wanted, or a sentence. A word that no type has is a slip; a newer version's types are not known here, so `*` takes them. */
export function typesOf(text: string | undefined): ((type: string) => boolean) | string {
  if (text === undefined) return () => true;
  const words = text.split(",").map((word) => word.trim());
  for (const word of words) {
    const known = EVENT_TYPES.some((type) => matches(word, type));
    if (!known) return `--type: there are no events ${JSON.stringify(word)}. They are ${EVENT_TYPES.join(", ")}.`;
  }
  return (type) => words.some((word) => matches(word, type));
}

function matches(word: string, type: string): boolean {
  return word.endsWith("*") ? type.startsWith(word.slice(0, -1)) : word === type;
}
