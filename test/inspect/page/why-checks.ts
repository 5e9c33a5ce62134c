import { eventSchema, isHot, type Event } from "rubato/machines";
import { Causes } from "../../../runtime/inspect/page/model/causes.ts";
import { Recording } from "../../../runtime/inspect/page/model/recording.ts";
import { decisionOf, whyHere } from "../../../runtime/inspect/page/model/why.ts";
import { badWords, problemWith, standsOf } from "./why-oracle.ts";

/** Holds the sentence of every prefix of a log against what the lines alone say (W1-W3). Answers what is wrong. */
export function whyProblems(events: readonly Event[]): string[] {
  const problems: string[] = [];
  const recording = new Recording();
  const stands = standsOf(events);
  const early: string[] = [];
  for (const event of events) {
    const told = stands.next();
    if (!recording.addEvent(event) || recording.problem !== undefined) return [String(recording.problem)];
    const said = whyHere(recording, event.seq, true);
    early.push(said);
    const found = told.done === true ? "it has no stand" : problemWith(said, told.value, event.seq);
    if (found !== undefined) problems.push(problem(event, found, said));
    if (decisionOf(recording, event).endsWith(": ")) problems.push(problem(event, "its decision says nothing", said));
  }
  for (const [index, event] of events.entries()) {
    const said = whyHere(recording, event.seq, true);
    if (said !== early[index]) problems.push(problem(event, `W1: it was “${early[index]}” before more came`, said));
  }
  return problems;
}

/** Ends of lines, a terminal's commands, what turns text around, markup, half a character, and more of it than anybody reads; nothing; what is not seen. */
export const HOSTILE: readonly string[] = [
  `\u202E\u001B]52;c;AA\u0007\u001B[2J<script>alert(1)</script>\n\n\u2066\uD83D${"long ".repeat(4_000)}`,
  "",
  " \u200B",
  "\u200B".repeat(9_000),
];

/** The same of what others wrote, where that is hostile: it stays text, on one line, and short. */
export function hostileProblems(events: readonly Event[], text: string): string[] {
  const recording = new Recording();
  for (const event of events) recording.add(hostile(event, text));
  if (recording.problem !== undefined) return [recording.problem];
  return events.flatMap((event) => {
    const said = whyHere(recording, event.seq);
    const found = UNSEEN.test(said) || !said.isWellFormed() ? "it says what cannot be seen" : badWords(said);
    return found === undefined ? [] : [problem(event, found, said)];
  });
}

/** Whatever the chart takes, the sentence is one. */
export function wordProblems(events: readonly Event[]): string[] {
  const recording = new Recording();
  return events.flatMap((event) => {
    recording.addEvent(event);
    const said = whyHere(recording, event.seq);
    const found = recording.problem ?? badWords(said);
    return found === undefined ? [] : [problem(event, found, said)];
  });
}

const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;
/** Fields that people, models, tools and endpoints fill, but for those that events are known by. */
const OTHERS = new Set(["by", "reason", "message", "code", "where", "raise", "who", "name", "text", "output"]);

function hostile(event: Event, text: string): Event {
  const copy: unknown = JSON.parse(JSON.stringify(event), (key, value: unknown) =>
    OTHERS.has(key) && typeof value === "string" && value !== "wall_time" ? text : value,
  );
  if (event.type === "token_stream" || event.type === "message") return event;
  return eventSchema.parse(copy);
}

/** Holds the causes of a log against the ids and attempts in its data. Answers what is wrong. */
export function causeProblems(events: readonly Event[]): string[] {
  const problems: string[] = [];
  const causes = new Causes().catchUp(events);
  const bySeq = new Map(events.map((event) => [event.seq, event]));
  let streamed = 0;
  for (const event of events) {
    const cause = causes.causeOf(event.seq);
    if (event.cause !== undefined && cause !== event.cause) problems.push(problem(event, "its recorded cause is lost"));
    if (cause === undefined) {
      if (!isFromOutside(event)) problems.push(problem(event, "it has no cause"));
      continue;
    }
    if (cause >= event.seq) problems.push(problem(event, `its cause is seq ${cause}`));
    const led = bySeq.get(cause);
    if (led === undefined) problems.push(problem(event, `its cause, seq ${cause}, is no event`));
    else if (event.cause === undefined && !belongs(event, led))
      problems.push(problem(event, `${led.type} is not its own`));
    if (isHot(event)) streamed++;
    else if (causes.effectsOf(cause).seqs.filter((seq) => seq === event.seq).length !== 1)
      problems.push(problem(event, `seq ${cause} does not know that it caused it`));
  }
  for (const { seq } of events) {
    streamed -= causes.effectsOf(seq).streamed;
    for (const effect of causes.effectsOf(seq).seqs)
      if (causes.causeOf(effect) !== seq) problems.push(`seq ${seq} says that it caused ${effect}`);
  }
  if (streamed !== 0) problems.push(`${streamed} deltas are counted wrongly`);
  return problems;
}

/** Said by a person, a program, a clock or another process, and not by the run. */
function isFromOutside(event: Event): boolean {
  switch (event.type) {
    case "run_start":
    case "user_input":
    case "resume":
    case "cancelled":
    case "owner":
      return true;
    case "interrupt":
      return event.data.by !== "tool" && event.data.by !== "input";
    case "approval":
      return event.data.by !== "clock";
    case "error":
      return event.data.source === "background";
    default:
      return false;
  }
}

/** Whether an event that says no cause is of the one that is said to be it. */
function belongs(event: Event, cause: Event): boolean {
  switch (event.type) {
    case "token_stream":
    case "tool_call_delta":
      return (
        cause.type === "thinking" &&
        cause.data.messageId === event.data.messageId &&
        cause.data.attempt === event.data.attempt
      );
    case "tool_progress":
    case "tool_result":
      return (cause.type === "tool_start" || cause.type === "tool_call") && cause.data.callId === event.data.callId;
    case "retry_due":
      return cause.type === "retry" && cause.data.attempt === event.data.attempt;
    case "input_delivered":
      return cause.type === "user_input" && cause.data.id === event.data.id;
    case "deadline":
      return (
        cause.type === (event.data.name === "wall_time" ? "run_start" : "approval_request") || cause.type === "resume"
      );
    case "interrupt":
      return cause.type === "message" && cause.data.calls.length > 0;
    case "gap":
      return cause.type === "thinking" || cause.type === "tool_start";
    default:
      return false;
  }
}

function problem(event: Event, what: string, said = ""): string {
  return `seq ${event.seq} ${event.type}: ${what}${said === "" ? "" : `: ${said}`}`;
}
