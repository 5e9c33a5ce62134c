import { RubatoError } from "../../errors.ts";
import { describeState } from "../describe-state.ts";
import { EXIT } from "../exit-code.ts";
import { findRun, needLog } from "../find-run.ts";
import type { Io } from "../io.ts";
import { onlyRun, type LogCommand } from "../log-command.ts";
import { play } from "../player.ts";
import { countOf } from "../values.ts";

const SPEEDS: Readonly<Record<string, number>> = {
  "1": 1,
  "1x": 1,
  "10": 10,
  "10x": 10,
  max: Number.POSITIVE_INFINITY,
};

export const replayCommand: LogCommand = {
  name: "replay",
  usage: "replay RUN [--speed 1 | 10 | max] [--step] [--to SEQ]",
  says: "plays it again, with the guards that the chart asked at each step; runs nothing",
  details: [
    ["--speed 1 | 10 | max", "its recorded pace (default on a terminal), ten times that, or no waiting"],
    ["--step", "event by event: space or →; Enter goes to the next step, p plays on, q ends"],
    ["--to SEQ", "up to that event, without waiting, and then the state there"],
  ],
  options: ["speed", "step", "to"],
  read(line) {
    const { values } = line;
    const named = onlyRun(line, "replay");
    if (typeof named === "string") return named;
    const to = countOf("to", values.to, 1);
    if (typeof to === "string") return to;
    const speed = values.speed === undefined ? undefined : SPEEDS[values.speed];
    if (values.speed !== undefined && speed === undefined) {
      return `--speed must be 1, 10 or max, got ${JSON.stringify(values.speed)}.`;
    }
    return (io) => replayRun(io, named.run, { speed, to, stepping: values.step === true });
  },
};

interface Wanted {
  readonly speed: number | undefined;
  readonly to: number | undefined;
  readonly stepping: boolean;
}

async function replayRun(io: Io, word: string, { speed, to, stepping }: Wanted): Promise<number> {
  const log = needLog(io);
  const runId = await findRun(io, log, word);
  const { seq: last } = await log.head(runId);
  if (to !== undefined && to > last) {
    throw new RubatoError("invalid_option", `--to: run "${runId}" ends at seq ${last}, got ${to}.`);
  }
  // Whoever names a moment wants to be there; and a pipe has no use for pauses.
  const pace = speed ?? (to !== undefined || io.columns === undefined ? Number.POSITIVE_INFINITY : 1);
  const state = await play(io, log, runId, { speed: pace, stepping, until: to ?? last });
  if (io.out.closed) return EXIT.brokenPipe;
  if (to === undefined) await io.err.write(`seq ${state.seq} of ${last}: ${state.value}\n`);
  else await io.out.write(`\n${describeState(state, last)}\n`);
  return EXIT.done;
}
