import type { Json } from "../../../machines/events.ts";
import type { ApproveOptions } from "../../run.ts";
import { readArgs } from "../answer.ts";
import { answerPending } from "../answer-pending.ts";
import type { LogCommand } from "../log-command.ts";
import { AGENT_OPTIONS } from "../settings.ts";

export const approveCommand: LogCommand = {
  name: "approve",
  usage: "approve RUN [CALL] [--args JSON] [--answer TEXT] [--for-run]",
  says: "lets a call run that waits for a person, in whichever process the run is",
  details: [
    ["CALL", "such as 1.0; without it the only one that waits"],
    ["--args JSON", "with these arguments instead"],
    ["--answer TEXT", "the answer, where it asks a question"],
    ["--for-run", "that tool's later calls in this run too"],
    ["--json", "where it goes on here: every event as one line of JSON"],
  ],
  options: ["args", "answer", "for-run", "json", ...AGENT_OPTIONS],
  read({ words, values }) {
    const [run, callId, more] = words;
    if (run === undefined || run.trim() === "") return '"approve" needs a run: rubato approve RUN [CALL].';
    if (more !== undefined) return `"approve" takes one call, got ${JSON.stringify(more)} behind it.`;
    const { args: text, answer, "for-run": forRun, json = false } = values;
    let args: Json | undefined;
    if (text !== undefined) {
      const read = readArgs(text);
      if ("problem" in read) return `--args: ${read.problem}`;
      ({ args } = read);
    }
    if (answer?.trim() === "") return "--answer must not be empty.";
    const options: ApproveOptions = {
      ...(args === undefined ? {} : { args }),
      ...(answer === undefined ? {} : { answer }),
      ...(forRun === true ? { forRun } : {}),
    };
    return (io) => answerPending(io, run, callId, json, { verb: "approve", options });
  },
};
