import { EXIT } from "../exit-code.ts";
import type { Io } from "../io.ts";
import { onlyRunAndText, type LogCommand } from "../log-command.ts";
import { openRun, refused } from "../open-run.ts";
import { receiptLine } from "../receipt-line.ts";
import { AGENT_OPTIONS } from "../settings.ts";
import { countOf } from "../values.ts";

export const interruptCommand: LogCommand = {
  name: "interrupt",
  usage: "interrupt RUN [REASON] [--now] [--grace MS]",
  says: "stops it, in whichever process it runs: after its step, or at once",
  details: [
    ["--now", "aborts what is in flight, keeps what was said"],
    ["--grace MS", "how long running tools get to stop"],
  ],
  options: ["now", "grace", ...AGENT_OPTIONS],
  read(line) {
    const named = onlyRunAndText(line, "interrupt");
    if (typeof named === "string") return named;
    const grace = countOf("grace", line.values.grace, 0);
    if (typeof grace === "string") return grace;
    return (io) => interrupt(io, named.run, named.text ?? "", line.values.now === true, grace);
  },
};

async function interrupt(
  io: Io,
  word: string,
  reason: string,
  now: boolean,
  graceMs: number | undefined,
): Promise<number> {
  const opened = await openRun(io, word);
  if (typeof opened === "number") return opened;
  const { agent, log, run } = opened;
  try {
    const receipt = await run.interrupt(reason, {
      mode: now ? "now" : "step",
      ...(graceMs === undefined ? {} : { graceMs }),
    });
    if (!receipt.accepted) return await refused(io, receipt, run, REFUSALS);
    await io.out.write(`${await receiptLine(log, run.id, receipt)}\n`);
    return EXIT.done;
  } finally {
    await agent.close();
  }
}

const REFUSALS = {
  done: "its answer is complete, nothing is under way",
  failed: "its turn has failed already, nothing is under way",
};
