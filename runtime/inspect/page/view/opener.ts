import { hashOf, placeOf } from "../model/place.ts";
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
  private leave = (): void => {};
  private leaveOther = (): void => {};

  constructor(session: Session, sample: string, wanted?: number) {
    this.session = session;
    this.sample = sample;
    this.wanted = wanted;
  }

  async openFile(file: File): Promise<void> {
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

  async openSample(): Promise<void> {
    await this.openTexts([this.sample], 1, "sample", "sample run");
  }

  /** Follows a run of the server; keeps what there is when the run or the server goes away. */
  openRun(connection: Connection, runId: string): void {
    const { session } = this;
    const side = this.begin("run", runId);
    session.connection = connection;
    // As far as the list of runs tells: what comes behind that is the run as it goes on.
    const head = session.runs.find((run) => run.runId === runId)?.seq ?? 0;
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
    loading(undefined);
    this.leave = connection.follow(runId, {
      after: 0,
      onEvents: (events) => {
        this.take(side, events);
        const { endSeq } = side.recording;
        if (endSeq < head) loading(endSeq / head);
        else session.loaded(side);
        session.grown();
        if (endSeq >= head) session.missWanted();
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

  async openFileBeside(file: File): Promise<void> {
    const side = this.beginBeside(file.name);
    await feedText(this.session, side, piecesOf(file.stream(), file.size), file.name);
    this.judge(side, `"${file.name}" holds no events.`);
  }

  /** An empty run to be filled; what was open before ends. */
  begin(origin: Session["origin"], title: string): Side {
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
      if (side.recording.isFull && this.session.writing === undefined) this.session.makeRoom(side);
    }
  }

  private judge(side: Side, empty: string): void {
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

/** Keeps run and moment in the address, so that it can be sent to somebody. Written seldom: browsers refuse an address that changes with every frame. */
export function keepAddress(session: Session): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  session.subscribe(() => {
    timer ??= setTimeout(() => {
      timer = undefined;
      const run = session.main.recording.runId;
      // With its file: whoever loads the page anew asks a server for it that has no runs.
      const place = {
        run: run === "" ? undefined : run,
        seq: session.following ? undefined : session.seq,
        file: session.served,
      };
      const hash = hashOf(place);
      if (hash === location.hash || run === "") return;
      history.replaceState(null, "", hash === "" ? location.pathname + location.search : hash);
    }, 600);
  });
}

/** The token of the address, which is taken out of it, or the one that was said before in this tab. */
export function takeToken(): string | undefined {
  const { token, ...place } = placeOf(location.hash);
  if (token !== undefined) {
    history.replaceState(null, "", hashOf(place) || location.pathname + location.search);
    keepToken(token);
    return token;
  }
  try {
    return sessionStorage.getItem("rubato-token") ?? undefined;
  } catch {
    return undefined;
  }
}

export function keepToken(token: string): void {
  try {
    sessionStorage.setItem("rubato-token", token);
  } catch {
    // A browser that keeps nothing asks again.
  }
}
