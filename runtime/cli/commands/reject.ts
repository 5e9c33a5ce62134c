import { answerPending } from "../answer-pending.ts";
import type { LogCommand } from "../log-command.ts";
import { AGENT_OPTIONS } from "../settings.ts";

export const rejectCommand: LogCommand = {
  name: "reject",
  usage: "reject RUN [CALL] [REASON]",
  says: "keeps a call from running that waits for a person; the model is told why",
  details: [
    ["CALL", "such as 1.0; without it the only one that waits"],
    ["--json", "where it goes on here: every event as one line of JSON"],
  ],
  options: ["json", ...AGENT_OPTIONS],
  read({ words, values }) {
    const [run, first, ...rest] = words;
    if (run === undefined || run.trim() === "") return '"reject" needs a run: rubato reject RUN [CALL] [REASON].';
    // A call is `step.index`: a reason looks otherwise.
    const named = first !== undefined && /^\d+\.\d+$/.test(first);
    const reason = (named || first === undefined ? rest : [first, ...rest]).join(" ").trim();
    return (io) => answerPending(io, run, named ? first : undefined, values.json === true, { verb: "reject", reason });
  },
};
