import type { Event, Run } from "rubato";

const dim = (text: string): string => (process.stdout.isTTY ? `\x1b[2m${text}\x1b[22m` : text);

/** A sentence to whoever watches. */
export function say(text: string): void {
  process.stdout.write(`\n${process.stdout.isTTY ? wrapped(text, process.stdout.columns) : text}\n`);
}

/** Broken between words. */
function wrapped(text: string, columns: number): string {
  let column = 0;
  return text
    .split(" ")
    .map((word, index) => {
      const breaks = index > 0 && column + 1 + word.length > columns;
      column = breaks || index === 0 ? word.length : column + 1 + word.length;
      return index === 0 ? word : `${breaks ? "\n" : " "}${word}`;
    })
    .join("");
}

/** What the person does. */
export function you(text: string): void {
  process.stdout.write(`${dim("you")} > ${text}\n`);
}

/** A value as one line, such as a receipt. */
export function show(name: string, value: unknown): void {
  // How long it took differs from run to run: for people, to the millisecond.
  const text = JSON.stringify(value, (key, inner: unknown) =>
    key === "latencyMs" && typeof inner === "number" ? `<= ${Math.ceil(inner)} ms` : inner,
  );
  process.stdout.write(`${dim(name)} = ${text}\n`);
}

/** Prints a run's new events until it is at rest: text as it streams, everything else as a line of its own. */
export async function watch(run: Run, from = 0): Promise<void> {
  let column = 0;
  const line = (text: string): void => {
    process.stdout.write(`${column > 0 ? "\n" : ""}${text}\n`);
    column = 0;
  };
  for await (const event of run.events({ from })) {
    if (event.type !== "token_stream") {
      line(`${dim(String(event.seq).padStart(4))} ${event.type.padEnd(17)}${gist(event)}`);
      continue;
    }
    if (column === 0) process.stdout.write(`${dim(String(event.seq).padStart(4))} ${"token_stream".padEnd(17)}`);
    // Long answers are broken between words.
    const wrap = column > 80;
    process.stdout.write(wrap ? `\n${" ".repeat(22)}${event.data.text.trimStart()}` : event.data.text);
    column = wrap ? event.data.text.length : column + event.data.text.length + 1;
  }
}

/** What an event says, in a few words. */
export function gist(event: Event): string {
  switch (event.type) {
    case "run_start":
      return `agent "${event.data.agent.name}", model "${event.data.model}"`;
    case "user_input":
      return `"${event.data.text}" (when: ${event.data.when}, id: ${shortId(event.data.id)})`;
    case "input_delivered":
      return `input ${shortId(event.data.id)} ${event.data.delivered ? `heard in step ${event.data.step}` : "not heard"}`;
    case "thinking":
      return `model request of step ${event.data.step}`;
    case "token_stream":
      return JSON.stringify(event.data.text);
    case "tool_call_delta":
      return `${event.data.callId} ${event.data.name ?? ""}${event.data.args}`;
    case "message":
      return `finish: ${event.data.finish}, ${event.data.text.length} characters, ${event.data.calls.length} calls`;
    case "tool_call":
      return `${event.data.callId} ${event.data.name} ${JSON.stringify(event.data.args)}`;
    case "approval_request":
      return `${event.data.callId} waits for a person`;
    case "approval":
      return `${event.data.callId} ${event.data.decision}${event.data.args === undefined ? "" : ` with ${JSON.stringify(event.data.args)}`}${event.data.forRun === true ? ", for the rest of the run" : ""}`;
    case "retry":
      return `attempt ${event.data.attempt}${event.data.fallback === undefined ? ` in ${event.data.delayMs} ms` : " by the next model"}, ${event.data.superseded ?? 0} characters superseded: ${event.data.reason}`;
    case "retry_due":
      return `attempt ${event.data.attempt}`;
    case "error":
      return `${event.data.class ?? event.data.code}: ${event.data.message}`;
    case "limit":
      return `${event.data.kind}: ${event.data.used} of ${event.data.max}. ${event.data.raise}`;
    case "tool_start":
      return `${event.data.callId} ${event.data.name}`;
    case "tool_progress":
      return `${event.data.callId} ${JSON.stringify(event.data.value)}`;
    case "tool_result":
      return `${event.data.callId} ${event.data.outcome} ${JSON.stringify(event.data.output ?? event.data.error?.message ?? "")}`;
    case "interrupt":
      return `"${event.data.reason}" (mode: ${event.data.mode}, by: ${event.data.by})`;
    case "interrupted":
      return `where: ${event.data.where}, ${event.data.keptChars} characters kept`;
    case "owner":
      return `epoch ${event.data.epoch}, ${event.data.why}`;
    case "resume":
      return `by: ${event.data.by}, partial: ${event.data.partial}`;
    case "done":
      return `after ${event.data.steps} steps: "${event.data.output.slice(0, 60)}${event.data.output.length > 60 ? "..." : ""}"`;
    default:
      return "";
  }
}

/** Ids that nobody chose are long: their head is enough to tell them apart. */
function shortId(id: string): string {
  return id.startsWith("in_") ? id.slice(0, 7) : id;
}
