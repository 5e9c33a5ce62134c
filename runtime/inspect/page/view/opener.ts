import { JsonLines } from "../model/json-lines.ts";
import { readEntry } from "../model/log-entry.ts";
import { feedText, piecesOf, piecesOfTexts } from "./feeder.ts";
import type { Connection } from "./connection.ts";
import type { Session } from "./session.ts";
import { Side } from "./side.ts";

/** Opens what somebody wants to see: a file, the sample, a run of a server. One thing at a time: what is opened next ends what was open. */
export class Opener {
  private readonly session: Session;
  private readonly sample: string;
  /** The moment that the address names: of what is opened first. */
  private wanted: number | undefined;
  /** How often something was opened. */
  private begun = 0;
  private leave = (): void => {};
  private leaveOther = (): void => {};

  constructor(session: Session, sample: string, wanted?: number) {
    this.session = session;
    this.sample = sample;
    this.wanted = wanted;
  }

  /** Opens a log; what is none leaves open what is. */
  async openFile(file: File): Promise<void> {
    const { begun, session } = this;
    const why = await noLog(file);
    // Something else was opened meanwhile.
    if (begun !== this.begun) return;
    if (why !== undefined) {
      session.say(`${why}${session.main.recording.length === 0 ? "" : " What was open stays."}`);
      return;
    }
    const side = this.begin("file", file.name);
    await feedText(this.session, side, piecesOf(file.stream(), file.size), file.name);
    this.judge(side, `"${file.name}" holds no events: export one with rubato export RUN --out FILE.`);
  }

  /** The lines of a log, in one text or several, each of whole lines. */
  async openTexts(texts: Iterable<string>, count: number, origin: "sample" | "export", title: string): Promise<void> {
    const side = this.begin(origin, title);
    await feedText(this.session, side, piecesOfTexts(texts, count), title);
    this.judge(side, "There are no events in it.");
  }

  async openSample(seq?: number): Promise<void> {
    this.wanted = seq ?? this.wanted;
    await this.openTexts([this.sample], 1, "sample", "sample run");
  }

  /** Follows a run of the server, shown at a seq or at its end; keeps what there is when the run or the server goes away. */
  openRun(connection: Connection, runId: string, seq?: number): void {
    const { session } = this;
    this.wanted = seq ?? this.wanted;
    const side = this.begin("run", runId);
    session.connection = connection;
    // Up to there it is loaded: what comes behind that is the run as it goes on.
    let head = session.runs.find((run) => run.runId === runId)?.seq;
    const loading = (part: number | undefined): void => {
      session.loading = {
        what: runId,
        side,
        part,
        stop: () => {
          this.leave();
          session.loaded(side);
          side.line = "ended";
          session.missWanted();
          session.changed();
        },
      };
    };
    const came = (): void => {
      const { endSeq } = side.recording;
      const whole = head !== undefined && endSeq >= head;
      if (whole) session.loaded(side);
      else loading(head === undefined ? undefined : endSeq / head);
      session.grown();
      if (whole) session.missWanted();
    };
    loading(undefined);
    // A list has an end: an older run is not in it.
    if (head === undefined) {
      connection.headOf(runId).then(
        (seq) => {
          head = seq ?? 0;
          if (session.main === side && side.recording.length > 0) came();
        },
        () => {},
      );
    }
    this.leave = connection.follow(runId, {
      after: 0,
      onEvents: (events) => {
        this.take(side, events);
        came();
      },
      onLine: (line, why) => {
        side.line = line;
        if (line !== "open") session.loaded(side);
        if (line === "open") session.sayOfLine(undefined);
        else if (why !== undefined) session.sayOfLine(why, line === "lost" ? "bad" : "info");
        session.changed();
      },
    });
  }

  /** Shows another run beside the one that is open. */
  openBeside(connection: Connection, runId: string): void {
    const { session } = this;
    const side = this.beginBeside(runId);
    this.leaveOther = connection.follow(runId, {
      after: 0,
      onEvents: (events) => {
        this.take(side, events);
        session.changed();
      },
      onLine: (line, why) => {
        side.line = line;
        side.trouble = line === "open" ? undefined : why;
        session.changed();
      },
    });
    session.changed();
  }

  /** What was beside it is gone, and nothing more of it comes. */
  closeBeside(): void {
    this.leaveOther();
    this.leaveOther = () => {};
    this.session.loaded(this.session.other);
    this.session.other = undefined;
    this.session.changed();
  }

  /** What was dropped: a log, or two that are compared. */
  async openDropped(files: readonly File[]): Promise<void> {
    const [file, other, ...more] = files;
    if (file === undefined) return;
    await this.openFile(file);
    if (other === undefined || this.session.title !== file.name) return;
    await this.openFileBeside(other);
    if (more.length > 0) this.session.say(`Two files stand side by side; ${more.length} more were left out.`, "info");
  }

  async openFileBeside(file: File): Promise<void> {
    const side = this.beginBeside(file.name);
    await feedText(this.session, side, piecesOf(file.stream(), file.size), file.name);
    this.judge(side, `"${file.name}" holds no events.`);
  }

  /** An empty run to be filled; what was open before ends. */
  begin(origin: Session["origin"], title: string): Side {
    this.begun++;
    this.leave();
    this.leaveOther();
    this.leave = () => {};
    this.leaveOther = () => {};
    const { wanted } = this;
    this.wanted = undefined;
    return this.session.reset(origin, title, wanted);
  }

  /** Of a run that goes on the newest lines are what somebody wants to see: for them the oldest make room. */
  private take(side: Side, events: readonly unknown[]): void {
    for (const event of events) {
      side.add(event);
      // Not while it is written to a file: its places would move below the hand.
      if (side.recording.isFull && this.session.writing?.side !== side) this.session.makeRoom(side);
    }
  }

  /** Says that there is nothing in it, where that is so. */
  judge(side: Side, empty: string): void {
    const { session } = this;
    const { recording } = side;
    if (recording.length > 0) return;
    // What the recording says of itself stands there beside it.
    if (session.main === side) session.say(empty);
    else side.trouble = empty;
    session.changed();
  }

  private beginBeside(title: string): Side {
    this.closeBeside();
    const side = new Side(undefined, title);
    this.session.other = side;
    return side;
  }
}

/** Bytes of a file that are looked at before it is opened. */
const HEAD = 65_536;

/** Why a file is no log, as far as its head tells: undefined for one that may be. */
async function noLog(file: File): Promise<string | undefined> {
  let head: string;
  try {
    head = await file.slice(0, HEAD).text();
  } catch {
    return `"${file.name}" cannot be read: it is a folder, or it is gone.`;
  }
  const lines = new JsonLines();
  const { values, broken } = lines.push(head);
  const end = file.size <= HEAD ? lines.end() : "empty";
  const [first] = typeof end === "object" ? [...values, end.value] : values;
  // A first line that is longer is read when the file is.
  if (first === undefined && broken === undefined && file.size > HEAD) return undefined;
  if (first !== undefined && readEntry(first).kind !== "bad") return undefined;
  const line = broken === undefined ? "" : ` (line ${broken} is no JSON)`;
  return `"${file.name}" holds no events${line}: export one with rubato export RUN --out FILE.`;
}
