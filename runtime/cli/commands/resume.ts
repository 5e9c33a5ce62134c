import type { EventLog } from "../../log/event-log.ts";
import { BUDGET_HELP, readBudget, type RaisedBudget } from "../budget.ts";
import { lastRun, needLog, shortId } from "../find-run.ts";
import type { Io } from "../io.ts";
import type { LogCommand } from "../log-command.ts";
import { showRun } from "../one-shot.ts";
import { openAgent, refused } from "../open-run.ts";
import { standsNow } from "../stands-at.ts";
import { AGENT_OPTIONS } from "../settings.ts";

export const resumeCommand: LogCommand = {
  name: "resume",
  usage: 'resume RUN | --last ["INSTRUCTION"] [--budget NAME=N] [--takeover] [--allow-changed]',
  says: "goes on with one that was stopped, failed, or lost its process",
  details: [
    ["--last", "the one that something happened in last"],
    ["--budget NAME=N", `raises what was used up, all in all: ${BUDGET_HELP}`],
    ["--takeover", "also from a process that lives: it can record nothing any more"],
    ["--allow-changed", "also with other instructions or tools than it was begun with"],
  ],
  options: ["last", "budget", "takeover", "allow-changed", "json", ...AGENT_OPTIONS],
  read({ words, values }) {
    const { last = false, takeover = false, json = false } = values;
    const [first, ...others] = words;
    if (!last && (first === undefined || first.trim() === "")) {
      return '"resume" needs a run: rubato resume RUN, or rubato resume --last.';
    }
    const text = (last ? words : others).join(" ").trim();
    const budget = values.budget === undefined ? undefined : readBudget(values.budget);
    if (typeof budget === "string") return `--budget: ${budget}`;
    const wanted: Wanted = {
      budget,
      run: last ? undefined : first,
      instruction: text === "" ? undefined : text,
      takeover,
      allowChanged: values["allow-changed"] === true,
      json,
    };
    return (io) => resume(io, wanted);
  },
};

interface Wanted {
  readonly budget: RaisedBudget | undefined;
  readonly run: string | undefined;
  readonly instruction: string | undefined;
  readonly takeover: boolean;
  readonly allowChanged: boolean;
  readonly json: boolean;
}

async function resume(io: Io, wanted: Wanted): Promise<number> {
  const { instruction, budget, takeover, allowChanged, json } = wanted;
  const word = wanted.run ?? (await lastRun(io, needLog(io))).runId;
  const opened = await openAgent(io, word);
  if (typeof opened === "number") return opened;
  const { agent, log, runId } = opened;
  try {
    const { seq } = await log.head(runId);
    const answer = await agent.resume(runId, instruction, {
      takeover,
      allowChanged,
      ...(budget === undefined ? {} : { budget }),
    });
    if (!answer.accepted) {
      const message =
        answer.reason === "done"
          ? `its answer is complete. Say something new: ${io.goOn} send ${shortId(runId)} "TEXT".`
          : (answer.message ?? (await whatNow(io, log, runId, answer.reason)));
      return await refused(io, { reason: answer.reason, ...(message === undefined ? {} : { message }) }, { id: runId });
    }
    const { out, err, onSignal, onUnread, goOn, askLine } = io;
    // From what was there before, so that the takeover and what it settles are shown too.
    return await showRun(answer.run, seq, { agent, json, out, err, onSignal, onUnread, goOn, askLine });
  } finally {
    await agent.close();
  }
}

/** What it rests at, where resuming is not what it waits for. */
async function whatNow(io: Io, log: EventLog, runId: string, reason: string): Promise<string | undefined> {
  if (reason !== "running" && reason !== "limit") return undefined;
  const lines = await standsNow(log, runId, io.goOn, io.now());
  return lines.length === 0 ? undefined : `${lines.join("; ")}.`;
}
