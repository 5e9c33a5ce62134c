import { readBudget, type RaisedBudget } from "./budget.ts";
import { jsonSchema, type Json, type PartialPolicy } from "../../machines/events.ts";

/** What a line that begins with `/` asks for. */
export type Slash =
  | { readonly type: "help" }
  | { readonly type: "state" }
  /** Without a count the log is scrubbed. */
  | { readonly type: "log"; readonly count: number | undefined }
  | { readonly type: "fork"; readonly seq: number }
  | {
      readonly type: "settle";
      readonly callId: string;
      readonly result: { readonly output: Json } | { readonly error: string };
    }
  | { readonly type: "after"; readonly text: string }
  | {
      readonly type: "resume";
      readonly text: string | undefined;
      readonly partial: PartialPolicy;
      readonly budget?: RaisedBudget;
    }
  /** Says it to the model, also while it asks something. */
  | { readonly type: "say"; readonly text: string; readonly when: "step" | "now" }
  /** Without a call: the one that is asked about. */
  | { readonly type: "approve"; readonly callId: string | undefined }
  | { readonly type: "reject"; readonly callId: string | undefined; readonly reason: string }
  | { readonly type: "exit" }
  | { readonly type: "wrong"; readonly message: string };

export const SLASH_HELP = `Enter        sends; while it works, steers at its next step
Alt-Enter    says it after the answer, as /after does
Esc          stops: text at once, a tool after its step; a second Esc stops the tool
Esc + text   redirects: stops now and goes on with the text
Ctrl-C       stops at once; a second one leaves; Ctrl-D leaves
Ctrl-J, or \\ before Enter: a new line. Up and Down: what you said before.

While it asks for an approval: y approves, n [REASON] rejects, e edits the arguments, a approves
that tool for the rest of the run, Esc stops (nothing that waits is run).

/say TEXT                          says it to the model, also while it asks: at its next step
/now TEXT                          redirects: stops now and goes on with the text
/after TEXT                        said after the answer
/approve CALL, /reject CALL [REASON]   answers one of several calls that wait
/budget outputTokens=20000         raises what was used up, all in all, and goes on; also
                                   inputTokens, toolCalls, cost, timeout=10m, maxSteps
/resume [--continue | --discard] [TEXT]   goes on after a stop; the cut answer is kept,
                                   continued in its sentence, or left out
/state                             where the run stands
/log                               goes back and forth in its events; /log N: its last N events
/fork SEQ                          goes on in a copy of it up to that event
/settle CALL ok|error TEXT         says how a call ended whose process died
/exit                              leaves`;

const MAX_EVENTS = 500;

/** Reads a line, or answers undefined when it is none of ours: text for the model. */
export function readSlash(line: string): Slash | undefined {
  // A path or a comment is text: a command is one word of letters.
  const match = /^\/([a-z]+)(?:\s+([\s\S]*))?$/.exec(line.trim());
  if (match === null) return undefined;
  const [, name = "", rest = ""] = match;
  switch (name) {
    case "help":
      return { type: "help" };
    case "state":
      return { type: "state" };
    case "exit":
    case "quit":
      return { type: "exit" };
    case "after":
      return rest === "" ? { type: "wrong", message: "/after needs a text." } : { type: "after", text: rest };
    case "log":
      return readLog(rest);
    case "say":
    case "now":
      return rest === ""
        ? { type: "wrong", message: `/${name} needs a text.` }
        : { type: "say", text: rest, when: name === "say" ? "step" : "now" };
    case "approve":
      return /^\S*$/.test(rest)
        ? { type: "approve", callId: rest === "" ? undefined : rest }
        : { type: "wrong", message: "/approve takes one call, such as /approve 1.0." };
    case "reject": {
      const [, callId, reason = ""] = /^(\d+\.\d+)?\s*([\s\S]*)$/.exec(rest) ?? [];
      return { type: "reject", callId, reason };
    }
    case "budget": {
      const budget = readBudget([rest]);
      return typeof budget === "string"
        ? { type: "wrong", message: budget }
        : { type: "resume", text: undefined, partial: "keep", budget };
    }
    case "fork":
      return /^[1-9]\d{0,9}$/.test(rest)
        ? { type: "fork", seq: Number(rest) }
        : { type: "wrong", message: "/fork takes the seq of the last event of the copy: /log shows them." };
    case "settle":
      return readSettle(rest);
    case "resume":
      return readResume(rest);
    default:
      return { type: "wrong", message: `There is no command /${name}. /help lists them.` };
  }
}

function readLog(rest: string): Slash {
  if (rest === "") return { type: "log", count: undefined };
  const count = Number(rest);
  return /^\d+$/.test(rest) && count >= 1 && count <= MAX_EVENTS
    ? { type: "log", count }
    : { type: "wrong", message: `/log takes a number from 1 to ${MAX_EVENTS}.` };
}

/** What a tool answered is JSON where it reads as such, else text. */
function readSettle(rest: string): Slash {
  const [, callId, kind, text = ""] = /^(\S+)\s+(ok|error)(?:\s+([\s\S]*))?$/.exec(rest) ?? [];
  if (callId === undefined || (kind === "error" && text === "")) {
    return { type: "wrong", message: "/settle takes a call, ok or error, and what it answered: /settle 1.0 ok done." };
  }
  return { type: "settle", callId, result: kind === "error" ? { error: text } : { output: jsonOr(text) } };
}

function jsonOr(text: string): Json {
  try {
    return jsonSchema.parse(JSON.parse(text));
  } catch {
    return text;
  }
}

function readResume(rest: string): Slash {
  const [, option, after = ""] = /^--(\S*)\s*([\s\S]*)$/.exec(rest) ?? [];
  const text = option === undefined ? rest : after;
  if (option !== undefined && option !== "continue" && option !== "discard" && option !== "keep") {
    return { type: "wrong", message: "/resume knows --continue, --discard and --keep." };
  }
  if (option === "continue" && text !== "") {
    return { type: "wrong", message: "/resume --continue takes no text: the model goes on in its own sentence." };
  }
  return { type: "resume", text: text === "" ? undefined : text, partial: option ?? "keep" };
}
