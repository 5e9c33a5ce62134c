import type { LogEntry } from "./log-entry.ts";

/**
 * What the timeline draws, kept up to date line by line, so that a run that grows costs no more than its new lines. Positions are indexes of
 * lines: the view decides whether they stand by count or by time.
 *
 * A tool has as many lanes as calls of it ever ran at once, not one per call: thousands of calls stay a few rows.
 */
export type LaneKind = "model" | "tool" | "approval" | "interrupt" | "retry";
export type Tone = "plain" | "good" | "bad" | "warn" | "stop";

export interface Span {
  /** Index of the line that began it. */
  readonly from: number;
  /** Of the line that ended it; undefined while it is open. */
  to: number | undefined;
  label: string;
  tone: Tone;
}

export interface Lane {
  readonly id: string;
  readonly kind: LaneKind;
  readonly label: string;
  readonly spans: Span[];
}

export interface Mark {
  readonly index: number;
  readonly number: number;
}

const ORDER: readonly LaneKind[] = ["model", "tool", "approval", "interrupt", "retry"];

export class Lanes {
  /** Model first, then tools, approvals, interrupts, retries. */
  readonly lanes: Lane[] = [];
  /** Where each turn begins and each step. */
  readonly turns: Mark[] = [];
  readonly steps: Mark[] = [];
  /** Indexes of interrupts and of events that end a turn. */
  readonly interrupts: number[] = [];
  readonly ends: number[] = [];
  /** Of the line at an index or the last one before it, never falling: clocks may. */
  readonly times: number[] = [];
  private readonly open = new Map<string, Span>();
  private readonly names = new Map<string, string>();
  private atRest = true;

  get length(): number {
    return this.times.length;
  }

  /** The next line. */
  add(entry: LogEntry): void {
    const index = this.times.length;
    this.times.push(Math.max(entry.timestamp, this.times[index - 1] ?? entry.timestamp));
    const { type, data } = entry;
    switch (type) {
      case "token_stream":
      case "tool_call_delta":
      case "tool_progress":
        return;
      case "run_start":
      case "user_input":
      case "resume":
      case "input_delivered":
        if (this.atRest && type !== "run_start" && data["delivered"] !== false) {
          this.atRest = false;
          this.turns.push({ index, number: this.turns.length + 1 });
        }
        return;
      case "thinking":
        this.end("model", index, "warn");
        if (data["attempt"] === 1 || this.steps.at(-1)?.number !== data["step"]) {
          this.steps.push({ index, number: numberOf(data["step"]) });
        }
        this.begin("model", "model", "model", index, `step ${numberOf(data["step"])}${again(data["attempt"])}`);
        return;
      case "message":
        this.end("model", index, data["finish"] === "interrupted" ? "stop" : "good");
        return;
      case "tool_call":
        this.names.set(textOf(data["callId"]), textOf(data["name"]));
        return;
      case "approval_request":
        this.begin(`approval ${textOf(data["callId"])}`, "approval", "approvals", index, this.callLabel(data));
        return;
      case "approval":
        this.end(`approval ${textOf(data["callId"])}`, index, data["decision"] === "approve" ? "good" : "bad");
        return;
      case "tool_start": {
        const name = textOf(data["name"]);
        this.begin(
          `call ${textOf(data["callId"])}`,
          "tool",
          name,
          index,
          `${this.callLabel(data)}${again(data["attempt"])}`,
        );
        return;
      }
      case "tool_result":
        if (data["late"] === true) return;
        this.end(`approval ${textOf(data["callId"])}`, index, "bad");
        this.end(`call ${textOf(data["callId"])}`, index, toneOf(data["outcome"]));
        return;
      case "interrupt":
        this.interrupts.push(index);
        if (!this.open.has("interrupt")) {
          const what = data["cancel"] === true ? "cancel" : data["redirect"] === undefined ? "stop" : "redirect";
          this.begin("interrupt", "interrupt", "interrupts", index, `${what} ${textOf(data["mode"])}`);
        }
        return;
      case "retry":
        this.end("model", index, "bad");
        this.begin("retry", "retry", "retries", index, textOf(data["class"] ?? data["reason"]));
        return;
      case "retry_due":
        this.end("retry", index, "plain");
        return;
      case "owner":
        this.end("model", index, "warn");
        return;
      case "done":
      case "interrupted":
      case "failed":
      case "cancelled":
        this.ends.push(index);
        this.atRest = true;
        this.end("interrupt", index, "stop");
        this.end("retry", index, "stop");
        this.end("model", index, "bad");
        return;
      default:
    }
  }

  /** The index of the last line of a step or turn mark at or before an index. */
  static markAt(marks: readonly Mark[], index: number): Mark | undefined {
    let low = 0;
    let high = marks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((marks[middle]?.index ?? 0) <= index) low = middle + 1;
      else high = middle;
    }
    return marks[low - 1];
  }

  private callLabel(data: LogEntry["data"]): string {
    const callId = textOf(data["callId"]);
    return `${callId} ${this.names.get(callId) ?? ""}`.trimEnd();
  }

  private begin(key: string, kind: LaneKind, name: string, index: number, label: string): void {
    this.end(key, index, "warn");
    const span: Span = { from: index, to: undefined, label, tone: "plain" };
    this.open.set(key, span);
    this.laneFor(kind, name).spans.push(span);
  }

  private end(key: string, index: number, tone: Tone): void {
    const span = this.open.get(key);
    if (span === undefined) return;
    span.to = index;
    span.tone = tone;
    this.open.delete(key);
  }

  /** The first lane of this name whose last span is over. */
  private laneFor(kind: LaneKind, name: string): Lane {
    const same = this.lanes.filter((lane) => lane.kind === kind && lane.id.startsWith(`${kind} ${name} `));
    const free = same.find((lane) => lane.spans.at(-1)?.to !== undefined);
    if (free !== undefined) return free;
    const number = same.length + 1;
    const label = number === 1 ? name : `${name} ${number}`;
    const lane: Lane = { id: `${kind} ${name} ${number}`, kind, label, spans: [] };
    // Behind the lanes of its own name, else behind those of its kind.
    const last = same.at(-1);
    const at = last === undefined ? this.endOf(kind) : this.lanes.indexOf(last) + 1;
    this.lanes.splice(at, 0, lane);
    return lane;
  }

  private endOf(kind: LaneKind): number {
    const later = this.lanes.findIndex((lane) => ORDER.indexOf(lane.kind) > ORDER.indexOf(kind));
    return later === -1 ? this.lanes.length : later;
  }
}

function again(attempt: unknown): string {
  return typeof attempt === "number" && attempt > 1 ? `, attempt ${attempt}` : "";
}

function toneOf(outcome: unknown): Tone {
  switch (outcome) {
    case "ok":
      return "good";
    case "aborted":
    case "skipped":
      return "stop";
    case "unknown":
      return "warn";
    default:
      return "bad";
  }
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function numberOf(value: unknown): number {
  return typeof value === "number" ? value : 0;
}
