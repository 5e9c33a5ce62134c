import { EVERYTHING, isEverything, matcherOf, type Query } from "../model/search.ts";
import { Lanes } from "../model/lanes.ts";
import type { Connection, RunInfo } from "./connection.ts";
import { Side } from "./side.ts";

/** How long is searched before the page may draw and answer, ms. */
const SLICE = 20;
/** Lines between two looks at the clock: one may hold megabytes. */
const LINES_PER_LOOK = 8;

export type Tab = "event" | "state" | "messages" | "calls" | "act" | "raw";
export type Axis = "order" | "time";
export type Speed = 1 | 10;

/** What the page says at its top until it is closed. */
export interface Notice {
  readonly tone: "info" | "bad";
  readonly text: string;
  /** It says how the line to the server is: it goes when that is open again. */
  readonly ofLine?: boolean;
}

/** What is loading. */
export interface Loading {
  readonly what: string;
  readonly side: Side;
  /** From 0 to 1; undefined where nobody knows. */
  readonly part: number | undefined;
  readonly stop: () => void;
}

/** Everything that the page shows and where somebody looks. Views read it; whoever changes it calls {@link changed}, and one frame later all is drawn. */
export class Session {
  main = new Side();
  /** The other branch, side by side. */
  other: Side | undefined;
  /** Where it came from: a file, the sample, a server's run. */
  origin: "none" | "sample" | "file" | "export" | "run" = "none";
  title = "";
  /** The file that the server was begun with, while it is the one that is shown. */
  served: string | undefined;
  /** The moment that everything shows. 0: before the first event. */
  seq = 0;
  /** The moment that somebody wants to see, once it has come. */
  wanted: number | undefined;
  /** The moment is the end, whatever comes. */
  following = true;
  playing: Speed | undefined;
  query: Query = EVERYTHING;
  /** Indexes of the lines that are looked for; undefined: all. */
  matches: number[] | undefined;
  axis: Axis = "order";
  /** The part of the timeline that is seen, in indexes of lines; undefined: all of it. */
  window: { readonly from: number; readonly to: number } | undefined;
  tab: Tab = "event";
  /** A state of the agent chart, or an event type, whose definition is shown. */
  picked: { readonly kind: "state" | "event"; readonly name: string } | undefined;
  loading: Loading | undefined;
  /** The server was asked what it has, and has not answered: with large logs that takes a while. */
  asking = false;
  /** A file that is written. */
  writing: { readonly what: string; readonly side: Side; readonly stop: () => void } | undefined;
  notice: Notice | undefined;
  help = false;
  /** Set while the server wants a token: takes the one that somebody types. `refused`: there was one, and the server does not take it. */
  asksToken: { readonly refused: boolean; readonly take: (token: string) => void } | undefined;
  /** The server that the page came from. */
  connection: Connection | undefined;
  runs: readonly RunInfo[] = [];
  private readonly listeners = new Set<() => void>();
  private frame: number | undefined;
  private searched = 0;
  private searching: ReturnType<typeof setTimeout> | undefined;

  /** Calls back once per frame in which something changed; answers its undo. */
  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }

  changed(): void {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      for (const listener of this.listeners) listener();
    });
  }

  get endSeq(): number {
    return this.main.recording.endSeq;
  }

  /** How the line to the server is. */
  get line(): Side["line"] {
    return this.main.line;
  }

  /** What is loading into a side is over, however it went. */
  loaded(side: Side | undefined): void {
    if (this.loading?.side === side) this.loading = undefined;
  }

  /** The first moment there is: before the first event, or the first that is kept. */
  get firstSeq(): number {
    const { dropped, firstSeq } = this.main.recording;
    return dropped === 0 ? 0 : firstSeq;
  }

  /** The index of the line at the moment; -1 before the first. */
  get index(): number {
    return this.main.recording.indexOf(this.seq);
  }

  /** Goes to a moment. */
  goTo(seq: number): void {
    const { recording } = this.main;
    const wanted = Math.max(this.firstSeq, Math.min(Math.round(seq), recording.endSeq));
    // Within a range that was pruned there is no moment but its end.
    const entry = recording.entries[recording.indexOf(wanted)];
    this.seq = entry === undefined ? 0 : wanted === entry.seq ? wanted : entry.seq;
    this.following = this.seq === recording.endSeq;
    this.wanted = undefined;
    this.show(this.index);
    this.changed();
  }

  goToIndex(index: number): void {
    const { entries } = this.main.recording;
    this.goTo(index < 0 ? 0 : (entries[Math.min(index, entries.length - 1)]?.seq ?? 0));
  }

  /** To the next or previous line; of those that are looked for, where somebody does. */
  move(by: number): void {
    const { matches } = this;
    if (matches === undefined || matches.length === 0) {
      this.goToIndex(this.index + by);
      return;
    }
    const here = this.index;
    const next = by > 0 ? matches.findIndex((index) => index > here) : matches.findLastIndex((index) => index < here);
    if (next === -1) return;
    const last = matches.length - 1;
    this.goToIndex(matches[Math.max(0, Math.min(last, next + by - Math.sign(by)))] ?? here);
  }

  moveStep(by: 1 | -1): void {
    const { steps } = this.main.lanes;
    const here = this.index;
    const next = by > 0 ? steps.find(({ index }) => index > here) : steps.findLast(({ index }) => index < here);
    this.goToIndex(next?.index ?? (by > 0 ? this.main.recording.length - 1 : 0));
  }

  /** To the next interrupt; behind the last one to the first. */
  moveToInterrupt(): void {
    const { interrupts } = this.main.lanes;
    const next = interrupts.find((index) => index > this.index) ?? interrupts[0];
    if (next !== undefined) this.goToIndex(next);
  }

  get step(): number {
    return Lanes.markAt(this.main.lanes.steps, this.index)?.number ?? 0;
  }

  /** What came is part of the run now. */
  grown(): void {
    const { wanted } = this;
    if (wanted !== undefined && this.endSeq >= wanted) this.goTo(wanted);
    else if (this.following) this.seq = this.endSeq;
    this.search();
    this.changed();
  }

  /** All came that there is. A moment that was wanted and is not there is said, and the end is shown. */
  missWanted(): void {
    const { wanted, endSeq } = this;
    if (wanted === undefined || endSeq === 0) return;
    this.goTo(endSeq);
    this.say(`There is no seq ${wanted} in it: its end is shown, seq ${endSeq}.`, "info");
  }

  look(query: Query): void {
    this.query = query;
    this.matches = undefined;
    this.searched = 0;
    this.search();
    this.changed();
  }

  /** There are lines that were not looked at. */
  get isSearching(): boolean {
    return !isEverything(this.query) && this.searched < this.main.recording.length;
  }

  /** Makes room in a run that goes on: the first lines are forgotten, and every place moves with those that stay. */
  makeRoom(side: Side): void {
    const count = side.drop();
    if (side !== this.main || count === 0) return;
    if (this.matches !== undefined) {
      this.matches = this.matches.flatMap((index) => (index < count ? [] : [index - count]));
    }
    this.searched = Math.max(0, this.searched - count);
    if (this.window !== undefined) {
      const { from, to } = this.window;
      // What was seen of it is gone: the window stands where it stood.
      this.window = { from: Math.max(0, from - count), to: Math.max(to - from, to - count) };
    }
    // Only that: whoever looks at another part of the timeline goes on looking at it.
    this.seq = Math.max(this.seq, this.firstSeq);
  }

  /** Takes the lines in that came since; of many some now and the others later. */
  private search(): void {
    if (isEverything(this.query)) return;
    const began = performance.now();
    const { entries } = this.main.recording;
    const is = matcherOf(this.query);
    const matches = this.matches ?? [];
    for (; this.searched < entries.length; this.searched++) {
      const entry = entries[this.searched];
      if (entry !== undefined && is(entry)) matches.push(this.searched);
      if (this.searched % LINES_PER_LOOK !== 0 || performance.now() - began < SLICE) continue;
      this.searching ??= setTimeout(() => {
        this.searching = undefined;
        this.search();
        this.changed();
      }, 0);
      this.searched++;
      break;
    }
    this.matches = matches;
  }

  zoom(factor: number, around = this.index): void {
    const { length } = this.main.recording;
    const { from, to } = this.window ?? { from: 0, to: length };
    const wanted = Math.max(8, (to - from) * factor);
    if (wanted >= length) {
      this.window = undefined;
    } else {
      const share = to === from ? 0.5 : Math.min(1, Math.max(0, (around - from) / (to - from)));
      const start = Math.max(0, Math.min(length - wanted, around - wanted * share));
      this.window = { from: start, to: start + wanted };
    }
    this.changed();
  }

  pan(by: number): void {
    if (this.window === undefined) return;
    const width = this.window.to - this.window.from;
    const from = Math.max(0, Math.min(this.main.recording.length - width, this.window.from + by));
    this.window = { from, to: from + width };
    this.changed();
  }

  say(text: string, tone: Notice["tone"] = "bad"): void {
    this.notice = { tone, text };
    this.changed();
  }

  /** What the line to the server does: said until it is open again, which takes away nothing else that was said. */
  sayOfLine(text: string | undefined, tone: Notice["tone"] = "bad"): void {
    if (text !== undefined) this.notice = { tone, text, ofLine: true };
    else if (this.notice?.ofLine === true) this.notice = undefined;
    this.changed();
  }

  /** Begins anew with an empty run. */
  reset(origin: Session["origin"], title: string, wanted?: number): Side {
    this.main = new Side(undefined, title);
    this.other = undefined;
    this.loading = undefined;
    this.origin = origin;
    this.title = title;
    this.served = undefined;
    this.seq = 0;
    this.wanted = wanted;
    this.following = wanted === undefined;
    this.playing = undefined;
    this.matches = undefined;
    this.searched = 0;
    this.window = undefined;
    this.notice = undefined;
    this.picked = undefined;
    this.changed();
    return this.main;
  }

  /** Keeps the moment in the part that is seen. */
  private show(index: number): void {
    if (this.window === undefined) return;
    const { from, to } = this.window;
    if (index >= from && index < to) return;
    const width = to - from;
    const start = Math.max(0, Math.min(this.main.recording.length - width, index - width / 2));
    this.window = { from: start, to: start + width };
  }
}
