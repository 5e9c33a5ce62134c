import type { Event, EventData, PartialPolicy } from "../../machines/events.ts";
import { describeApproval } from "./describe-approval.ts";
import { describeCall, describeResult, describeProgress, describeValue } from "./describe-call.ts";
import { describeDuration } from "./describe-duration.ts";
import { describeInterrupted } from "./describe-interrupt.ts";
import { describeLimit } from "./describe-limit.ts";
import { createSanitizer, oneLine, sanitize } from "./sanitizer.ts";
import type { Transcript } from "./transcript.ts";
import { NO_TURN, trace, type TurnTrace } from "./turn-trace.ts";

/** Writes a run's events into the transcript. What a model, a tool or a person said passes the sanitizer here. */
export interface Conversation {
  follow(event: Event): void;
  readonly turn: TurnTrace;
  /** The latest progress of each call of the open step, by `callId`. */
  readonly progress: ReadonlyMap<string, string>;
}

export interface ConversationOptions {
  /** Somebody else shows the calls that wait, and asks about them. Default false. */
  readonly asking?: boolean;
}

export function createConversation(transcript: Transcript, { asking = false }: ConversationOptions = {}): Conversation {
  const progress = new Map<string, string>();
  let turn = NO_TURN;
  let text = createSanitizer();
  let reasoning = createSanitizer();
  let limited = false;
  /** How far the words of the open message were shown: deltas that were pruned come with the message itself. */
  let shown = NOTHING;
  let model: string | undefined;
  /** Why another model is asked. */
  let fallback: string | undefined;

  /** What was said of an answer that will not be: its next attempt begins from the start. */
  function breakOff(): void {
    const begun = shown !== NOTHING;
    shown = NOTHING;
    transcript.stream("reasoning", reasoning.end());
    transcript.stream("answer", text.end());
    transcript.close();
    if (begun) transcript.add("aside", "(the answer broke off and begins again)");
  }

  function follow(event: Event): void {
    // An input leaves the waiting ones when the model hears it: its words are in the trace before.
    const { waiting } = turn;
    turn = trace(turn, event);
    switch (event.type) {
      case "input_delivered":
        showInput(event.data, waiting.get(event.data.id));
        return;
      case "resume":
        // With an input the person's own words say it.
        if (event.data.inputId === undefined) transcript.add("note", goesOn(event.data.partial));
        return;
      case "thinking":
        breakOff();
        if (fallback !== undefined) {
          transcript.add("note", `${fallback}: ${oneLine(event.data.model, 60)} is asked instead`);
          fallback = undefined;
        }
        model = event.data.model;
        text = createSanitizer();
        reasoning = createSanitizer();
        progress.clear();
        limited = false;
        return;
      case "token_stream":
        shown = { ...shown, [event.data.kind]: event.data.offset + event.data.text.length };
        if (event.data.kind === "text") transcript.stream("answer", text.write(event.data.text));
        else transcript.stream("reasoning", reasoning.write(event.data.text));
        return;
      case "message":
        showEnd(event.data);
        return;
      case "tool_call":
        transcript.add("tool", describeCall(event.data.name, event.data.args, 240));
        return;
      case "tool_progress":
        progress.set(event.data.callId, describeProgress(event.data.value));
        return;
      case "tool_result":
        showResult(event.data);
        return;
      case "approval_request":
        if (!asking) transcript.add("note", `call ${event.data.callId} waits for an approval`);
        return;
      case "approval":
        showApproval(event.data);
        return;
      case "retry": {
        const why = oneLine(event.data.reason, 200);
        breakOff();
        if (event.data.fallback !== undefined) fallback = `model ${oneLine(model ?? "", 60)} failed (${why})`;
        else transcript.add("aside", `(asked again in ${describeDuration(event.data.delayMs)}: ${why})`);
        return;
      }
      case "deadline":
        if (event.data.name === "approval") transcript.add("note", "nobody answered in time");
        return;
      case "error":
        // A model's error ends the turn or is tried again: those events say so.
        if (event.data.source !== "model") transcript.add("error", oneLine(event.data.message, 400));
        return;
      case "limit":
        limited = true;
        transcript.add("note", describeLimit(event.data));
        return;
      case "interrupted":
        fallback = undefined;
        transcript.close();
        // Whoever recovered it says what it found.
        if (!limited && event.data.by !== "recovery") transcript.add("note", describeInterrupted(event.data, turn));
        return;
      case "failed":
        transcript.add("error", `failed: ${oneLine(event.data.error.message, 600)}`);
        return;
      case "cancelled":
        transcript.add("note", "cancelled");
        return;
      case "done":
        transcript.close();
        if (event.data.output === "") transcript.add("note", "(the model answered nothing)");
        return;
      case "custom":
        transcript.add("tool", oneLine(`${event.data.name} ${describeValue(event.data.data)}`));
        return;
      default:
    }
  }

  function showInput({ delivered, reason }: EventData<"input_delivered">, said: string | undefined): void {
    if (delivered) transcript.add("user", sanitize(said ?? "(said before)"));
    else transcript.add("note", `not heard (${oneLine(reason ?? "", 60)}): ${oneLine(said ?? "", 120)}`);
  }

  function showEnd({ finish, calls, text: all, reasoning: thoughts = "" }: EventData<"message">): void {
    transcript.stream("reasoning", reasoning.write(thoughts.slice(shown.reasoning)));
    transcript.stream("answer", text.write(all.slice(shown.text)));
    transcript.stream("reasoning", reasoning.end());
    transcript.stream("answer", text.end());
    transcript.close();
    shown = NOTHING;
    if (finish === "length") transcript.add("note", "(the answer was cut: the endpoint's token limit was reached)");
    if (finish === "interrupted" && calls.length > 0) transcript.add("note", "(calls of the cut answer were dropped)");
  }

  function showApproval(data: EventData<"approval">): void {
    const { callId, answer } = data;
    // An answer to a question is words of the person.
    if (answer !== undefined) transcript.add("user", sanitize(answer));
    else
      transcript.add(
        "aside",
        describeApproval(data, turn.calls.find((call) => call.callId === callId)?.name ?? callId),
      );
  }

  function showResult(data: EventData<"tool_result">): void {
    const { callId, late } = data;
    const name = oneLine(turn.calls.find((call) => call.callId === callId)?.name ?? callId, 64);
    const said = describeResult(data, 240);
    progress.delete(callId);
    if (late === true) transcript.add("note", `${name} came back late: ${said}`);
    else transcript.add("result", turn.calls.length > 1 ? `${name}: ${said}` : said);
  }

  return {
    follow,
    get turn() {
      return turn;
    },
    progress,
  };
}

/** Nothing of the open message. */
const NOTHING = { text: 0, reasoning: 0 };

function goesOn(partial: PartialPolicy): string {
  switch (partial) {
    case "keep":
      return "(goes on)";
    case "continue":
      return "(goes on in its sentence)";
    case "discard":
      return "(goes on, the cut answer is left out)";
  }
}
