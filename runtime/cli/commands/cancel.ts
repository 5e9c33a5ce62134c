import { EXIT } from "../exit-code.ts";
import type { Io } from "../io.ts";
import { onlyRunAndText, type LogCommand } from "../log-command.ts";
import { openRun, refused } from "../open-run.ts";
import { AGENT_OPTIONS } from "../settings.ts";

export const cancelCommand: LogCommand = {
  name: "cancel",
  usage: "cancel RUN [REASON]",
  says: "ends it for good",
  options: AGENT_OPTIONS,
  read(line) {
    const named = onlyRunAndText(line, "cancel");
    return typeof named === "string" ? named : (io) => cancel(io, named.run, named.text ?? "");
  },
};

async function cancel(io: Io, word: string, reason: string): Promise<number> {
  const opened = await openRun(io, word);
  if (typeof opened === "number") return opened;
  const { agent, run } = opened;
  try {
    const receipt = await run.cancel(reason);
    if (!receipt.accepted) return await refused(io, receipt, run, REFUSALS);
    await io.out.write(`cancelled at seq ${receipt.seq}\n`);
    return EXIT.done;
  } finally {
    await agent.close();
  }
}

const REFUSALS = {
  done: "its answer is complete, there is nothing to cancel",
};
