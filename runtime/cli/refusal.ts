/** Why a command was not accepted, for people. `reason` is the word in its receipt. */
export function refusalOf(reason = "refused"): string {
  const sentences: Readonly<Record<string, string>> = {
    not_started: "nothing was said yet",
    running: "it works already",
    already_interrupted: "it is stopped already",
    already_resuming: "it goes on already",
    done: "the answer is complete, say something new",
    failed: "the turn has failed, Enter tries again",
    limit: "a budget is used up",
    closed: "the chat is closing",
  };
  return sentences[reason] ?? reason;
}
