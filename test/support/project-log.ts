import type { Event, EventOf, Message } from "rubato/machines";

/**
 * The message list of a whole log, made the slow and obvious way: an independent second opinion on what the reducer keeps incrementally (R8).
 */
export function projectLog(events: readonly Event[]): Message[] {
  const messages: Message[] = [];
  const inputs = new Map<string, string>();
  let open: EventOf<"message"> | undefined;
  let results: EventOf<"tool_result">[] = [];
  let cut = false;
  let stopped = false;
  let policy: "keep" | "continue" | "discard" = "keep";
  let waiting = 0;
  let reopened: Message | undefined;

  const leaveStop = (): void => {
    const last = messages.at(-1);
    if (cut && last?.role === "assistant") {
      if (policy === "discard") messages.pop();
      if (policy === "continue" && waiting === 0) {
        reopened = last;
        messages.pop();
      }
    }
    cut = false;
    stopped = false;
    policy = "keep";
  };

  for (const [index, event] of events.entries()) {
    switch (event.type) {
      case "run_start":
        messages.push(...(event.data.messages ?? []));
        break;
      case "user_input":
        inputs.set(event.data.id, event.data.text);
        if (isNext(events, index)) waiting++;
        if (failedBefore(events, index)) leaveStop();
        break;
      case "input_delivered": {
        if (event.data.queue === "step") waiting--;
        if (!event.data.delivered) break;
        if (reopened !== undefined) messages.push(reopened);
        reopened = undefined;
        cut = false;
        messages.push({ role: "user", content: inputs.get(event.data.id) ?? "", inputId: event.data.id });
        break;
      }
      case "thinking":
        if (stopped) leaveStop();
        break;
      case "message": {
        const { finish, text, messageId, calls } = event.data;
        reopened = undefined;
        if (finish === "interrupted" || finish === "truncated") {
          if (text !== "") {
            messages.push({ role: "assistant", content: text, messageId, cut: true });
            cut = true;
          }
        } else if (calls.length === 0) {
          if (text !== "") messages.push({ role: "assistant", content: text, messageId });
        } else {
          open = event;
          results = [];
        }
        break;
      }
      case "tool_result":
        if (event.data.late === true) break;
        results.push(event);
        if (open !== undefined && results.length === open.data.calls.length) {
          messages.push(...stepMessages(open, results));
          open = undefined;
        }
        break;
      case "interrupted":
      case "failed":
        stopped = true;
        if (resumedWhileDraining(events, index)) leaveStop();
        break;
      case "resume":
        policy = event.data.partial;
        if (stopped) leaveStop();
        break;
      default:
        break;
    }
  }
  if (open !== undefined) messages.push(...stepMessages(open, results));
  if (reopened !== undefined) messages.push(reopened);
  return messages;
}

function stepMessages(message: EventOf<"message">, results: readonly EventOf<"tool_result">[]): Message[] {
  const toolCalls = message.data.calls.map((call) => ({ ...call, args: isObject(call.args) ? call.args : "{}" }));
  return [
    { role: "assistant", content: message.data.text, messageId: message.data.messageId, toolCalls },
    ...message.data.calls.map((call): Message => {
      const result = results.find((event) => event.data.callId === call.callId);
      return {
        role: "tool",
        callId: call.callId,
        name: call.name,
        content: result === undefined ? "(no result yet)" : expectedText(result),
        outcome: result?.data.outcome ?? "open",
      };
    }),
  ];
}

function isObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

function expectedText({ data }: EventOf<"tool_result">): string {
  const { outcome, output, error } = data;
  switch (outcome) {
    case "ok":
      return typeof output === "string" ? output : JSON.stringify(output ?? null);
    case "error":
      return `Error: ${error?.message ?? "the tool failed"}`;
    case "rejected":
      return `Rejected by a person${error === undefined ? "" : `: ${error.message}`}. It did not run.`;
    case "skipped":
      if (error?.code === "limit") return "Skipped: a limit of the run was reached. It did not run.";
      return "Skipped: the run was interrupted before this call started. It did not run.";
    case "aborted":
      if (error?.code === "not_begun")
        return "Aborted: the run was interrupted before this call began. It did not run.";
      return "Aborted: the run was interrupted while this call ran. It may have had part of its effect.";
    case "timeout":
      return `Timeout: ${error?.message ?? "the tool took too long"}. It may have had part of its effect.`;
    case "unknown":
      return "Unknown: this call was started and nobody knows how it ended. It may have had its effect.";
  }
}

/** Whether this input waits for a step boundary, not for the end of the turn. */
function isNext(events: readonly Event[], index: number): boolean {
  const event = events[index];
  if (event?.type !== "user_input") return false;
  const receipt = events.find((later) => later.type === "input_delivered" && later.data.id === event.data.id);
  if (receipt?.type === "input_delivered") return receipt.data.queue === "step";
  return event.data.when !== "done";
}

function failedBefore(events: readonly Event[], index: number): boolean {
  for (let at = index - 1; at >= 0; at--) {
    const type = events[at]?.type;
    if (type === "failed") return true;
    if (type === "thinking" || type === "resume" || type === "done" || type === "interrupted") return false;
  }
  return false;
}

/** A resume that was recorded between `interrupt` and `interrupted` takes effect at the latter. */
function resumedWhileDraining(events: readonly Event[], index: number): boolean {
  for (let at = index - 1; at >= 0; at--) {
    const event = events[at];
    if (event?.type === "resume") return true;
    // A fork rests, whatever the run that it was copied from was told.
    if (event?.type === "owner" && event.data.why === "fork") return false;
    if (event?.type === "interrupt" || event?.type === "thinking" || event?.type === "limit") return false;
  }
  return false;
}
