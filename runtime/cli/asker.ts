import { lineDiff } from "../../machines/line-diff.ts";
import type { Json } from "../../machines/events.ts";
import type { AgentState, ToolCallState } from "../../machines/state.ts";
import type { ApproveOptions } from "../run.ts";
import { isQuestion, pendingLine, pendingLines, questionOf, readAnswer, readArgs, wordsOf } from "./answer.ts";
import { exposedJson } from "./exposed.ts";
import { oneLine } from "./sanitizer.ts";
import type { Transcript } from "./transcript.ts";

/**
 * Asks the person about the calls that wait, one after the other.
 *
 * Q1 Only a call whose arguments were drawn on the screen can be approved, and the approval names their hash: what was typed before it came was
 *    meant for something else.
 * Q2 Whatever is no answer is told so and comes to nothing.
 * Q3 A call that is settled elsewhere (another process, an interrupt, the clock) is asked about no more, also in the middle of an edit.
 */
export interface Asker {
  /** The call that is asked about. */
  readonly call: ToolCallState | undefined;
  /** Its arguments stand in the prompt. */
  readonly editing: boolean;
  /** Follows the run: the next question where one was answered. True when a question is new. */
  follow(state: AgentState | undefined): boolean;
  /** What was asked stands on the screen now. */
  drawn(): void;
  /** Takes a line that was typed. Answers what is to stand in the prompt then. */
  enter(text: string): string;
  /** Leaves the edit, back to the question. */
  leaveEdit(): void;
  /** `/approve CALL` and `/reject CALL REASON`; without a call the one that is asked about. */
  approve(callId: string | undefined): void;
  reject(callId: string | undefined, reason: string): void;
  /** What the empty prompt says. */
  readonly hint: string;
  /** The other calls that wait, each in one line. */
  readonly others: readonly string[];
}

export interface AskerOptions {
  readonly transcript: Transcript;
  /** `onUnfit` hears why arguments do not fit the tool. */
  readonly approve: (callId: string, options: ApproveOptions, onUnfit: (message: string) => void) => void;
  readonly reject: (callId: string, reason: string) => void;
  /** Puts a text into the prompt. */
  readonly onEdit: (text: string) => void;
}

/** Longer arguments are not edited in a prompt, in UTF-16 units. */
const MAX_EDIT = 20_000;
const LOOK = "It asks something now: look at it first.";
/** JSON up to this length is edited in one line. */
const ONE_LINE = 60;

export function createAsker({ transcript, approve, reject, onEdit }: AskerOptions): Asker {
  let pending: readonly ToolCallState[] = [];
  let current: ToolCallState | undefined;
  let editing = false;
  let drawn = false;
  /** What runs instead of the arguments that were asked for, by call, while it waits for the yes. */
  const edits = new Map<string, Json>();
  /** Calls whose arguments stood on the screen. */
  const seen = new Set<string>();
  /** Answered here, and not yet there. */
  const answered = new Set<string>();

  function waiting(callId: string): ToolCallState | undefined {
    return pending.find((call) => call.callId === callId && !answered.has(callId));
  }

  function ask(call: ToolCallState | undefined): void {
    current = call;
    editing = false;
    drawn = false;
    if (call === undefined) return;
    const [head, ...rest] = pendingLines(call);
    transcript.add("ask", isQuestion(call.name) ? head : `${head} wants to run`);
    if (rest.length > 0) transcript.add("detail", rest.join("\n"));
  }

  function next(): void {
    if (current !== undefined && waiting(current.callId) !== undefined) return;
    ask(pending.find(({ callId }) => !answered.has(callId)));
  }

  function allow(call: ToolCallState, options: ApproveOptions): void {
    const { callId, approval } = call;
    answered.add(callId);
    const args = edits.get(callId);
    const bound = approval === undefined ? {} : { argsHash: approval.argsHash };
    approve(callId, { ...options, ...bound, ...(args === undefined ? {} : { args }) }, (message) => {
      answered.delete(callId);
      if (waiting(callId) === undefined) return;
      transcript.add("note", `It was not run. ${oneLine(message, 600)}`);
      edits.delete(callId);
      if (current === undefined) ask(call);
      if (args !== undefined && current?.callId === callId) onEdit(edit(call, args));
    });
    next();
  }

  function refuse({ callId }: ToolCallState, reason: string): void {
    answered.add(callId);
    reject(callId, reason);
    next();
  }

  /** What is to stand in the prompt. */
  function edit(call: ToolCallState, args: Json | undefined): string {
    if (args === undefined) return "";
    const flat = exposedJson(args);
    if (flat.length > MAX_EDIT) {
      transcript.add(
        "note",
        `These arguments are too long to edit here: rubato approve RUN ${call.callId} --args JSON.`,
      );
      return "";
    }
    editing = true;
    return flat.length <= ONE_LINE ? flat : exposedJson(args, 2);
  }

  /** Takes edited arguments: shows what changed, and asks again. */
  function compare(call: ToolCallState, text: string): string {
    const read = readArgs(text);
    if ("problem" in read) {
      transcript.add("note", `${read.problem} Esc leaves it as it was.`);
      return text;
    }
    editing = false;
    const before = exposedJson(call.args ?? null, 2);
    const after = exposedJson(read.args, 2);
    if (before === after) {
      edits.delete(call.callId);
      transcript.add("note", "Nothing is changed.");
      return "";
    }
    edits.set(call.callId, read.args);
    transcript.add("ask", `${oneLine(call.name, 64)} (call ${call.callId}) with this instead`);
    for (const { kind, line } of lineDiff(before, after)) transcript.add(kind === "same" ? "detail" : kind, line);
    drawn = false;
    return "";
  }

  function put(text: string): string {
    return /^\s*\//.test(text) ? text : `/say ${text}`;
  }

  function enter(text: string): string {
    const call = current;
    if (call === undefined || text.trim() === "") return "";
    if (!drawn) {
      transcript.add("note", LOOK);
      return put(text);
    }
    if (editing) return compare(call, text);
    if (isQuestion(call.name)) {
      allow(call, { answer: wordsOf(text, questionOf(call)) });
      return "";
    }
    const answer = readAnswer(text);
    switch (answer.type) {
      case "approve":
        allow(call, answer.forRun ? { forRun: true } : {});
        return "";
      case "reject":
        refuse(call, answer.reason);
        return "";
      case "edit":
        return edit(call, edits.get(call.callId) ?? call.args);
      case "none":
        transcript.add(
          "note",
          "That is no answer (y, n, e or a). Enter says it to the model instead, at its next step.",
        );
        return put(text);
    }
  }

  return {
    get call() {
      return current;
    },
    get editing() {
      return editing;
    },
    follow(state) {
      pending = state?.pendingApprovals ?? [];
      for (const callId of answered) if (!pending.some((call) => call.callId === callId)) answered.delete(callId);
      const before = current;
      if (current === undefined || waiting(current.callId) === undefined) {
        if (editing) transcript.add("note", "That call waits no more.");
        if (editing) onEdit("");
        next();
      }
      return current !== undefined && current !== before;
    },
    drawn() {
      drawn = true;
      if (current !== undefined) seen.add(current.callId);
    },
    enter,
    leaveEdit() {
      editing = false;
    },
    approve(callId) {
      const call = callId === undefined ? current : waiting(callId);
      if (call === undefined) {
        transcript.add("note", `No ${callId === undefined ? "" : "such "}call waits for an approval.`);
        return;
      }
      if (call === current ? !drawn : !seen.has(call.callId)) {
        // Q1.
        if (call !== current) ask(call);
        else transcript.add("note", LOOK);
      } else if (isQuestion(call.name)) transcript.add("note", "It asks a question: type the answer.");
      else allow(call, {});
    },
    reject(callId, reason) {
      const call = callId === undefined ? current : waiting(callId);
      if (call === undefined)
        transcript.add("note", `No ${callId === undefined ? "" : "such "}call waits for an approval.`);
      else refuse(call, reason);
    },
    get hint() {
      if (current === undefined) return "";
      if (editing) return "Enter compares, Esc leaves it as it was";
      const name = oneLine(current.name, 40);
      if (!isQuestion(current.name)) return `y approves, n [reason] rejects, e edits, a approves ${name} from now on`;
      const { options = [] } = questionOf(current) ?? {};
      return options.length > 0 ? "Type the answer, or the number of one" : "Type the answer";
    },
    get others() {
      return pending.filter((call) => call !== current && !answered.has(call.callId)).map(pendingLine);
    },
  };
}
