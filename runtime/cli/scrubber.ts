import { matchesKey } from "@earendil-works/pi-tui";
import { firstSeq, isTerminal, type Event } from "../../machines/events.ts";
import type { AgentState } from "../../machines/state.ts";
import { messageOf } from "../errors.ts";
import { PAGE_BYTES, type EventLog } from "../log/event-log.ts";
import { stateAt } from "../state-at.ts";
import { lineOf } from "./describe-event.ts";
import { isLeaving } from "./pilot.ts";
import { oneLine } from "./sanitizer.ts";
import { describeTokens } from "./status-line.ts";
import type { Theme } from "./theme.ts";
import { fit } from "./wrap.ts";

/** Goes back and forth in a run's log: the event, and the state at that moment, by replay alone. Changes nothing. */
export interface Scrubber {
  /** Takes a key. False when it ends the scrubbing. */
  key(bytes: string): boolean;
  rows(width: number): string[];
  /** Resolves when every key was answered. */
  readonly idle: Promise<void>;
}

export type Move = "left" | "right" | "back" | "forward" | "home" | "end";

export interface ScrubberOptions {
  readonly log: EventLog;
  readonly runId: string;
  readonly theme: Theme;
  readonly onChange: () => void;
}

interface View {
  readonly event: Event;
  readonly state: AgentState;
  /** The log's last seq. */
  readonly last: number;
}

const PAGE = 64;
/** Keys that wait for the log: whoever holds one down is not to be followed for minutes. */
const MAX_WAITING = 32;

export function createScrubber({ log, runId, theme, onChange }: ScrubberOptions): Scrubber {
  let view: View | undefined;
  let problem: string | undefined;
  let waiting = 0;
  let work: Promise<void> = Promise.resolve();

  function move(by: Move): void {
    if (waiting >= MAX_WAITING) return;
    waiting++;
    work = work.then(async () => {
      try {
        const { seq: last } = await log.head(runId);
        const event = await eventAfter(log, runId, view?.event, by, last);
        if (event !== undefined) view = { event, state: await stateAt(log, runId, event.seq), last };
        problem = last === 0 ? "This run is not in the log any more." : undefined;
      } catch (error) {
        problem = oneLine(messageOf(error), 300);
      } finally {
        waiting--;
        onChange();
      }
    });
  }

  move("end");
  return {
    get idle() {
      return work;
    },
    key(bytes) {
      const by = moveOf(bytes);
      if (by !== undefined) move(by);
      return by !== undefined || !isLeaving(bytes);
    },
    rows(width) {
      const rows: string[] = [];
      if (view !== undefined) {
        const { event, state, last } = view;
        rows.push(theme.accent(`log ${event.seq}/${last}`), lineOf(event), ...stateRows(state));
      }
      if (problem !== undefined) rows.push(theme.error(problem));
      rows.push(theme.dim("←/→ event   [/] step   Home/End   q back"));
      return rows.map((row) => fit(row, width));
    },
  };
}

export function moveOf(bytes: string): Move | undefined {
  if (matchesKey(bytes, "left")) return "left";
  if (matchesKey(bytes, "right") || bytes === " ") return "right";
  if (matchesKey(bytes, "home")) return "home";
  if (matchesKey(bytes, "end")) return "end";
  if (bytes === "[") return "back";
  return bytes === "]" ? "forward" : undefined;
}

/** The event to show after a move; undefined where there is none in that direction. */
export async function eventAfter(
  log: EventLog,
  runId: string,
  from: Event | undefined,
  by: Move,
  last: number,
): Promise<Event | undefined> {
  switch (by) {
    case "home":
      return one(log, runId, 0);
    case "end":
      return one(log, runId, last - 1);
    case "left":
      return from === undefined || firstSeq(from) === 1 ? undefined : one(log, runId, firstSeq(from) - 2);
    case "right":
      return one(log, runId, from?.seq ?? 0);
    case "forward":
      return (await nextStep(log, runId, from?.seq ?? 0)) ?? one(log, runId, last - 1);
    case "back":
      return (await stepBefore(log, runId, from === undefined ? last : firstSeq(from))) ?? one(log, runId, 0);
  }
}

async function one(log: EventLog, runId: string, after: number): Promise<Event | undefined> {
  const [event] = await log.read(runId, { after: Math.max(0, after), limit: 1 });
  return event;
}

async function nextStep(log: EventLog, runId: string, after: number): Promise<Event | undefined> {
  for (let cursor = after; ;) {
    const page = await log.read(runId, { after: cursor, limit: PAGE, bytes: PAGE_BYTES });
    const found = page.find(isStep);
    const end = page.at(-1);
    if (found !== undefined || end === undefined) return found;
    cursor = end.seq;
  }
}

async function stepBefore(log: EventLog, runId: string, before: number): Promise<Event | undefined> {
  for (let end = before - 1; end > 0; end -= PAGE) {
    const page = await log.read(runId, { after: Math.max(0, end - PAGE), limit: PAGE });
    const found = page.findLast((event) => event.seq <= end && isStep(event));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Where a step begins, and where a turn ends. */
function isStep(event: Event): boolean {
  return event.type === "thinking" || isTerminal(event);
}

function stateRows(state: AgentState): string[] {
  const { value, turn, step, messages, orphans, inputs } = state;
  const figures = [
    `turn ${turn}`,
    `step ${step}`,
    `${messages.length} ${messages.length === 1 ? "message" : "messages"}`,
  ];
  const tokens = describeTokens(state);
  if (tokens !== "") figures.push(tokens);
  if (inputs.length > 0) figures.push(`${inputs.length} waiting`);
  if (orphans.length > 0) figures.push(`${orphans.length} calls without a known outcome`);
  if (state.interruptRequested) figures.push("a stop is asked for");
  const rows = [`${value.toUpperCase()} · ${figures.join(" · ")}`];
  const running = state.core.calls.filter((call) => call.phase === "running").map(({ name }) => oneLine(name, 40));
  if (running.length > 0) rows.push(`running    ${running.join(", ")}`);
  const last = messages.at(-1);
  if (state.partial !== undefined && state.partial.text !== "") rows.push(`streams    …${tail(state.partial.text)}`);
  else if (last !== undefined) rows.push(`${last.role.padEnd(11)}${oneLine(last.content, 300)}`);
  return rows;
}

/** The end of a text that grows: its beginning stands above already. */
function tail(text: string): string {
  return oneLine(text.slice(-60), 60);
}
