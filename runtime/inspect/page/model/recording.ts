import { firstSeq, isHot, SCHEMA_VERSION, type Event } from "../../../../machines/events.ts";
import { initialState, type AgentState } from "../../../../machines/state.ts";
import { step } from "../../../../machines/step.ts";
import { BOUNDS, weightOf, type Bounds } from "./bounds.ts";
import { countWhile } from "./count-while.ts";
import { readEntry, type LogEntry } from "./log-entry.ts";

/**
 * A run as the page holds it: every line of its log, and the state at any of them by pure replay.
 *
 * V1 `stateAt(n)` is what `replay` gives at n: both fold with `step()`, and nothing else makes a state here.
 * V2 A state is kept every {@link KEEP_EVERY} events, so any moment of any log costs at most that many steps.
 * V3 What cannot be folded (a newer schema, a divergence, a hole) is still kept and shown as lines; `foldedTo` says up to where there are states.
 * V4 It is bounded in lines and in memory. Whoever reads a file stops where it {@link isFull}; of a run that goes on the first lines are dropped, and
 *    what is kept has the states that it had before.
 */
const KEEP_EVERY = 256;

export class Recording {
  readonly entries: LogEntry[] = [];
  /** The lines that were folded: the first `events.length` of `entries`. */
  readonly events: Event[] = [];
  /** What is wrong with it, one sentence; the lines before that are as good as ever. */
  problem: string | undefined;
  /** Lines that were here and are not any more: {@link drop}. */
  dropped = 0;
  /** When the first line came that there was, also where it is not kept any more; 0 for an empty log. */
  startedAt = 0;
  /** The first line that there was is not the first of its run. */
  startsLate = false;
  /** About so many bytes of memory its lines take. */
  weight = 0;
  /** The states before the first event that is kept, and behind every {@link KEEP_EVERY} of them. */
  private readonly kept: { readonly at: number; readonly state: AgentState }[] = [{ at: 0, state: initialState() }];
  private head: AgentState = initialState();
  /** The state that was asked for last: the next one is mostly near. */
  private last: AgentState = this.head;
  private lastIndex = 0;
  private readonly bounds: Bounds;

  constructor(bounds = BOUNDS) {
    this.bounds = bounds;
  }

  get runId(): string {
    return this.entries[0]?.runId ?? "";
  }

  /** Lines. */
  get length(): number {
    return this.entries.length;
  }

  /** Of the last line; 0 for an empty log. */
  get endSeq(): number {
    return this.entries.at(-1)?.seq ?? 0;
  }

  /** The state after everything that could be folded. */
  get latest(): AgentState {
    return this.head;
  }

  /** The last seq that there is a state for. */
  get foldedTo(): number {
    return this.head.seq;
  }

  /** Of the first line that is kept; 0 for an empty log. */
  get firstSeq(): number {
    return this.entries[0]?.seq ?? 0;
  }

  /** There is no room for more. */
  get isFull(): boolean {
    return this.length >= this.bounds.lines || this.weight >= this.bounds.weight;
  }

  /** Takes in a value that was a line of the log. Answers whether it became a line here. */
  add(value: unknown): boolean {
    const read = readEntry(value);
    if (read.kind === "bad") {
      this.trouble(`Line ${this.dropped + this.length + 1} cannot be read: ${read.why}. What came before it is shown.`);
      return false;
    }
    if (read.kind === "unknown") {
      this.trouble(
        `From seq ${read.entry.seq} on there are lines but no states: ${read.why}. A newer rubato may know more.`,
      );
      return this.keep(read.entry);
    }
    return this.addEvent(read.event);
  }

  /** The same for an event that was checked. */
  addEvent(event: Event): boolean {
    if (!this.keep(event)) return false;
    if (this.problem !== undefined) return true;
    if (event.type === "run_start" && event.data.schema > SCHEMA_VERSION) {
      this.trouble(
        `It was recorded by a newer rubato (schema ${event.data.schema}, this page knows ${SCHEMA_VERSION}): its lines are shown, its states are not. Update rubato to see them.`,
      );
      return true;
    }
    const result = step(this.head, event);
    if (!result.accepted) {
      this.trouble(
        `It diverges at seq ${event.seq}: "${event.type}" does not fit the state before it (${result.reason}). From there on there are lines but no states.`,
      );
      return true;
    }
    this.head = result.state;
    this.events.push(event);
    const at = this.events.length;
    if (at - (this.kept.at(-1)?.at ?? 0) >= KEEP_EVERY) this.kept.push({ at, state: this.head });
    return true;
  }

  /**
   * Forgets the first lines, so many that a quarter of what a run may have is free: seldom and many, as each time all others move. The last line
   * always stays. Answers how many lines it were.
   */
  drop(): number {
    let count = 0;
    let { weight } = this;
    const lines = 0.75 * this.bounds.lines;
    const most = 0.75 * this.bounds.weight;
    while (count < this.length - 1 && (weight > most || this.length - count > lines)) {
      const entry = this.entries[count];
      if (entry !== undefined) weight -= weightOf(entry);
      count++;
    }
    // The states that are kept hold what came before them, as the run itself does.
    const folded = Math.min(count, this.events.length);
    const base = this.stateBehind(folded);
    const later = this.kept.findIndex(({ at }) => at > folded);
    this.kept.splice(0, later === -1 ? this.kept.length : later, { at: folded, state: base });
    for (const [place, { at, state }] of this.kept.entries()) this.kept[place] = { at: at - folded, state };
    this.entries.splice(0, count);
    this.events.splice(0, folded);
    this.weight = weight;
    this.dropped += count;
    this.last = base;
    this.lastIndex = 0;
    return count;
  }

  /** Says what is wrong, where nothing was said before. */
  trouble(sentence: string): void {
    this.problem ??= sentence;
  }

  /** The index of the last line at or before a seq; -1 before the first. */
  indexOf(seq: number): number {
    return countWhile(this.entries, (entry) => entry.seq <= seq) - 1;
  }

  entryAt(seq: number): LogEntry | undefined {
    const entry = this.entries[this.indexOf(seq)];
    return entry?.seq === seq ? entry : undefined;
  }

  /** The event with this seq, where it could be folded. */
  eventAt(seq: number): Event | undefined {
    const event = this.events[this.indexOf(seq)];
    return event?.seq === seq ? event : undefined;
  }

  /** The state after the last line at or before a seq; the last there is for what could not be folded. */
  stateAt(seq: number): AgentState {
    return this.stateBehind(Math.min(this.indexOf(seq) + 1, this.events.length));
  }

  /** The state behind the first so many events that are kept. */
  private stateBehind(wanted: number): AgentState {
    const before = countWhile(this.kept, ({ at }) => at <= wanted);
    let { at: index, state } = this.kept[before - 1] ?? { at: 0, state: initialState() };
    if (this.lastIndex >= index && this.lastIndex <= wanted) {
      index = this.lastIndex;
      state = this.last;
    }
    for (; index < wanted; index++) {
      const event = this.events[index];
      if (event === undefined) break;
      state = step(state, event).state;
    }
    this.last = state;
    this.lastIndex = index;
    return state;
  }

  /** The state before an event was taken in. */
  stateBefore(event: Event): AgentState {
    return this.stateAt(firstSeq(event) - 1);
  }

  /** The last control event or note at or before a seq: what the run was told or did last, between its tokens. */
  controlBefore(seq: number): Event | undefined {
    for (let index = Math.min(this.indexOf(seq), this.events.length - 1); index >= 0; index--) {
      const event = this.events[index];
      if (event !== undefined && !isHot(event)) return event;
    }
    return undefined;
  }

  private keep(entry: LogEntry): boolean {
    const from = entry.type === "gap" && typeof entry.data["from"] === "number" ? entry.data["from"] : entry.seq;
    if (this.length > 0 && entry.runId !== this.runId) {
      this.trouble(
        `Line ${this.dropped + this.length + 1} belongs to another run: it was left out, with what comes after it.`,
      );
      return false;
    }
    if (from !== this.endSeq + 1) {
      if (entry.seq <= this.endSeq) return false;
      this.trouble(
        `Events ${this.endSeq + 1} to ${from - 1} are missing. From there on there are lines but no states.`,
      );
    }
    if (this.length === 0) {
      this.startedAt = entry.timestamp;
      this.startsLate = from > 1;
    }
    this.entries.push(entry);
    this.weight += weightOf(entry);
    return true;
  }
}
