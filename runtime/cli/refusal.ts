/** Why a command was not accepted, for people. `reason` is the word in its receipt. */
export function refusalOf(reason = "refused"): string {
  const sentences: Readonly<Record<string, string>> = {
    not_started: "nothing was said yet",
    running: "it works already",
    already_interrupted: "it is stopped already",
    already_resuming: "it goes on already",
    done: "the answer is complete, say something new",
    failed: "the turn has failed, resuming tries again",
    cancelling: "it is being cancelled",
    cancelled: "it was cancelled, that is final",
    limit: "a budget is used up, it goes on with a higher one",
    expired: "nobody answered in time, so the call was rejected",
    other_args: "the call's arguments are not those that were shown",
    invalid_args: "the arguments do not fit the tool",
    answer_needed: "it asks a question, and there is no answer to it",
    closed: "this process is leaving",
    owned: "another process has it and lives (take it over with --takeover)",
    not_owner: "another process took it over",
    no_answer: "the process that has it did not answer, so nothing was done",
    owner_gone: "the process that had it ended before it answered, see what it recorded",
    changed:
      "the agent is not the one that it was begun with (other instructions or tools); resume it with --allow-changed",
    other_agent: "it is a run of another agent, so that is done where that agent is",
    newer_schema: "it was recorded by a newer rubato: update to go on with it",
    not_unknown: "no such call waits to be told how it ended",
    not_waiting: "no such call waits for an approval",
    unknown_run: "it does not exist any more",
    unknown_command: "the process that has it is of another version and does not know this command",
    log: "its log cannot be written",
  };
  return sentences[reason] ?? reason;
}
