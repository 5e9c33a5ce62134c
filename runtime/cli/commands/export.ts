import { createWriteStream } from "node:fs";
import { once } from "node:events";
import { RubatoError } from "../../errors.ts";
import { EXIT } from "../exit-code.ts";
import { findRun, needLog } from "../find-run.ts";
import type { Io } from "../io.ts";
import { onlyRun, type LogCommand } from "../log-command.ts";
import { storedEvents } from "../read-log.ts";
import { safeJson } from "../sanitizer.ts";
import { createWriter } from "../writer.ts";

export const exportCommand: LogCommand = {
  name: "export",
  usage: "export RUN [--out FILE]",
  says: "its events as lines of JSON",
  options: ["out"],
  read(line) {
    const named = onlyRun(line, "export");
    if (typeof named === "string") return named;
    const { out } = line.values;
    if (out?.trim() === "") return "--out must name a file.";
    return (io) => exportRun(io, named.run, out);
  },
};

async function exportRun(io: Io, word: string, file: string | undefined): Promise<number> {
  const log = needLog(io);
  const runId = await findRun(io, log, word);
  if (file === undefined) {
    for await (const event of storedEvents(log, runId)) {
      await io.out.write(`${safeJson(event)}\n`);
      if (io.out.closed) return EXIT.brokenPipe;
    }
    return EXIT.done;
  }
  // For its owner alone, as the log is; and never over something that is there.
  const stream = createWriteStream(file, { flags: "wx", mode: 0o600 });
  let problem: unknown;
  stream.on("error", (error) => {
    problem ??= error;
  });
  const writer = createWriter(stream);
  let count = 0;
  for await (const event of storedEvents(log, runId)) {
    await writer.write(`${JSON.stringify(event)}\n`);
    if (writer.closed) break;
    count++;
  }
  if (problem === undefined) {
    stream.end();
    await once(stream, "close").catch(() => {});
  }
  if (problem !== undefined) throw new RubatoError("invalid_option", reasonOf(file, problem), { cause: problem });
  await io.err.write(`${count} events written to "${file}".\n`);
  return EXIT.done;
}

function reasonOf(file: string, problem: unknown): string {
  const code = problem instanceof Error && "code" in problem ? problem.code : undefined;
  if (code === "EEXIST") return `"${file}" exists already: nothing was written. Choose another name.`;
  return `"${file}" cannot be written: ${problem instanceof Error ? problem.message : "unknown"}.`;
}
