import { EXIT } from "../exit-code.ts";
import type { Io } from "../io.ts";
import { onlyRunAndText, type LogCommand } from "../log-command.ts";
import { showRun } from "../one-shot.ts";
import { openRun, refused } from "../open-run.ts";
import { AGENT_OPTIONS } from "../settings.ts";

type When = "now" | "step" | "done";

export const sendCommand: LogCommand = {
  name: "send",
  usage: 'send RUN "TEXT" [--now | --done] [--json]',
  says: "says something to it, in whichever process it runs, or goes on with it here",
  details: [
    ["--now", "redirects: stops at once and goes on with the text"],
    ["--done", "heard after the answer, as the next turn"],
    ["(neither)", "heard at its next step"],
  ],
  options: ["now", "done", "json", ...AGENT_OPTIONS],
  read(line) {
    const { now = false, done = false, json = false } = line.values;
    const named = onlyRunAndText(line, "send");
    if (typeof named === "string") return named;
    const { run, text } = named;
    if (text === undefined) return '"send" needs a text: rubato send RUN "TEXT".';
    if (now && done) return "--now and --done exclude each other.";
    return (io) => send(io, run, text, now ? "now" : done ? "done" : "step", json);
  },
};

async function send(io: Io, word: string, text: string, when: When, json: boolean): Promise<number> {
  const opened = await openRun(io, word);
  if (typeof opened === "number") return opened;
  const { agent, run, owned } = opened;
  try {
    const receipt = await run.send(text, { when });
    if (!receipt.accepted) return await refused(io, receipt, run);
    if (!owned) {
      const { out, err, onSignal, onUnread, goOn, askLine } = io;
      return await showRun(run, receipt.seq - 1, { agent, json, out, err, onSignal, onUnread, goOn, askLine });
    }
    await io.out.write(`sent at seq ${receipt.seq}, ${HEARD[when]}\n`);
    return EXIT.done;
  } finally {
    await agent.close();
  }
}

const HEARD: Readonly<Record<When, string>> = {
  now: "it stops and goes on with it",
  step: "heard at its next step",
  done: "heard after its answer",
};
