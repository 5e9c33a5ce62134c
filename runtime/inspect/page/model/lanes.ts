import { countWhile } from "./count-while.ts";
import type { LogEntry } from "./log-entry.ts";
import { LowestFirst } from "./lowest-first.ts";

/**
 * What the timeline draws, kept up to date line by line, so that a run that grows costs no more than its new lines. Positions are indexes of
 * lines: the view decides whether they stand by count or by time.
 *
 * A tool has as many lanes as calls of it ever ran at once, not one per call: thousands of calls stay a few rows.
 */
export type LaneKind = "model" | "tool" | "approval" | "interrupt" | "retry";
export type Tone = "plain" | "good" | "bad" | "warn" | "stop";

export interface Span {
  /** Index of the line that began it; 0 for one that began before the lines that are kept. */
  from: number;
  /** Of the line that ended it; undefined while it is open. */
  to: number | undefined;
  label: string;
  tone: Tone;
}

export interface Lane {
  readonly kind: LaneKind;
  readonly label: string;
  readonly spans: Span[];
}

export interface Mark {
  readonly index: number;
  readonly number: number;
}

/** The lanes of one name, and which of them nothing runs in, by their place. */
interface Group {
  readonly lanes: Lane[];
  readonly free: LowestFirst;
}

/** A span that has not ended, and where it lies. */
interface Open {
  readonly span: Span;
  readonly group: Group;
  readonly place: number;
}

/** Longer names are cut: a lane has room for a few words, and measuring a long text at every drawing would be the drawing. */
const LONGEST_LABEL = 80;

export class Lanes {
  /** Model first, then tools, approvals, interrupts, retries; within each in the order in which the names came. */
  private readonly groups: Readonly<Record<LaneKind, Map<string, Group>>> = {
    model: new Map(),
    tool: new Map(),
    approval: new Map(),
    interrupt: new Map(),
    retry: new Map(),
  };
  /** All of them in order; undefined since one was added. */
  private flat: readonly Lane[] | undefined;
  /** Where each turn begins and each step. */
  readonly turns: Mark[] = [];
  readonly steps: Mark[] = [];
  /** Indexes of interrupts and of events that end a turn. */
  readonly interrupts: number[] = [];
  readonly ends: number[] = [];
  /** Of the line at an index or the last one before it, never falling: clocks may. */
  readonly times: number[] = [];
  private readonly open = new Map<string, Open>();
  private readonly names = new Map<string, string>();
  private atRest = true;

  get lanes(): readonly Lane[] {
    this.flat ??= Object.values(this.groups).flatMap((groups) => [...groups.values()].flatMap(({ lanes }) => lanes));
    return this.flat;
  }

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
          this.turns.push({ index, number: (this.turns.at(-1)?.number ?? 0) + 1 });
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
        this.names.delete(textOf(data["callId"]));
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
    return marks[countWhile(marks, (mark) => mark.index <= index) - 1];
  }

  /** Forgets the first lines: what was over by then is gone, what was not begins at the first that is kept. */
  drop(count: number): void {
    this.times.splice(0, count);
    for (const marks of [this.turns, this.steps]) shiftMarks(marks, count);
    for (const indexes of [this.interrupts, this.ends]) shiftIndexes(indexes, count);
    for (const groups of Object.values(this.groups)) {
      for (const [name, { lanes }] of groups) {
        for (const { spans } of lanes) shiftSpans(spans, count);
        if (lanes.every(({ spans }) => spans.length === 0)) groups.delete(name);
      }
    }
    this.flat = undefined;
  }

  private callLabel(data: LogEntry["data"]): string {
    const callId = textOf(data["callId"]);
    return `${callId} ${this.names.get(callId) ?? ""}`.trimEnd();
  }

  private begin(key: string, kind: LaneKind, name: string, index: number, label: string): void {
    this.end(key, index, "warn");
    const span: Span = { from: index, to: undefined, label: cut(label), tone: "plain" };
    const group = this.groupOf(kind, name);
    const place = group.free.take() ?? this.addLane(group, kind, name);
    group.lanes[place]?.spans.push(span);
    this.open.set(key, { span, group, place });
  }

  private end(key: string, index: number, tone: Tone): void {
    const open = this.open.get(key);
    if (open === undefined) return;
    const { span, group, place } = open;
    span.to = index;
    span.tone = tone;
    this.open.delete(key);
    group.free.put(place);
  }

  private groupOf(kind: LaneKind, name: string): Group {
    const known = this.groups[kind].get(name);
    if (known !== undefined) return known;
    const group: Group = { lanes: [], free: new LowestFirst() };
    this.groups[kind].set(name, group);
    return group;
  }

  /** Where nothing is free: one more. Answers its place. */
  private addLane({ lanes }: Group, kind: LaneKind, name: string): number {
    const label = lanes.length === 0 ? cut(name) : `${cut(name)} ${lanes.length + 1}`;
    this.flat = undefined;
    return lanes.push({ kind, label, spans: [] }) - 1;
  }
}

/** The first lanes of each kind, and how many more there are: a log may name more tools than any screen has rows. */
export function firstLanes(lanes: readonly Lane[], ofEachKind: number): { shown: readonly Lane[]; hidden: number } {
  if (lanes.length <= ofEachKind) return { shown: lanes, hidden: 0 };
  const counts = new Map<LaneKind, number>();
  const shown = lanes.filter(({ kind }) => {
    const count = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, count);
    return count <= ofEachKind;
  });
  return { shown, hidden: lanes.length - shown.length };
}

/** The mark that holds at the first line that is kept stays, and stands there. */
function shiftMarks(marks: Mark[], count: number): void {
  const later = marks.findIndex(({ index }) => index > count);
  marks.splice(0, Math.max(0, (later === -1 ? marks.length : later) - 1));
  for (const [place, { index, number }] of marks.entries())
    marks[place] = { index: Math.max(0, index - count), number };
}

function shiftIndexes(indexes: number[], count: number): void {
  const later = indexes.findIndex((index) => index >= count);
  indexes.splice(0, later === -1 ? indexes.length : later);
  for (const [place, index] of indexes.entries()) indexes[place] = index - count;
}

function shiftSpans(spans: Span[], count: number): void {
  const later = spans.findIndex(({ to }) => to === undefined || to >= count);
  spans.splice(0, later === -1 ? spans.length : later);
  for (const span of spans) {
    span.from = Math.max(0, span.from - count);
    if (span.to !== undefined) span.to -= count;
  }
}

function cut(text: string): string {
  return text.length <= LONGEST_LABEL ? text : `${text.slice(0, LONGEST_LABEL)}…`;
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
