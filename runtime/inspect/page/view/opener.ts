import { hashOf, placeOf } from "../model/place.ts";
import { feedText, pieceOf, piecesOf } from "./feeder.ts";
import type { Connection } from "./connection.ts";
import type { Session } from "./session.ts";
import { Side } from "./side.ts";

/** Opens what somebody wants to see: a file, the sample, a run of a server. One thing at a time: what is opened next ends what was open. */
export class Opener {
  private readonly session: Session;
  private readonly sample: string;
  private leave = (): void => {};
  private leaveOther = (): void => {};

  constructor(session: Session, sample: string) {
    this.session = session;
    this.sample = sample;
  }

  async openFile(file: File): Promise<void> {
    const side = this.begin("file", file.name);
    await feedText(this.session, side, piecesOf(file.stream(), file.size), file.name);
    this.judge(side, `"${file.name}" holds no events: export one with rubato export RUN --out FILE.`);
  }

  async openText(text: string, origin: "sample" | "export", title: string): Promise<void> {
    const side = this.begin(origin, title);
    await feedText(this.session, side, pieceOf(text), title);
    this.judge(side, "There are no events in it.");
  }

  async openSample(): Promise<void> {
    await this.openText(this.sample, "sample", "sample run");
  }

  /** Follows a run of the server; keeps what there is when the run or the server goes away. */
  openRun(connection: Connection, runId: string, seq?: number): void {
    const { session } = this;
    const side = this.begin("run", runId);
    session.connection = connection;
    session.loading = { what: runId, part: undefined, stop: () => this.leave() };
    if (seq !== undefined) session.following = false;
    let wanted = seq;
    this.leave = connection.follow(runId, {
      after: 0,
      onEvents: (events) => {
        for (const event of events) side.add(event);
        if (wanted !== undefined && side.recording.endSeq >= wanted) {
          session.goTo(wanted);
          wanted = undefined;
        }
        session.loading = undefined;
        session.grown();
      },
      onLine: (line, why) => {
        session.line = line;
        session.loading = undefined;
        if (line !== "open" && why !== undefined) session.say(why, line === "lost" ? "bad" : "info");
        else if (line === "open") session.notice = undefined;
        session.changed();
      },
    });
  }

  /** Shows another run beside the one that is open. */
  openBeside(connection: Connection, runId: string): void {
    this.leaveOther();
    const { session } = this;
    const side = new Side();
    session.other = side;
    const leave = connection.follow(runId, {
      after: 0,
      onEvents: (events) => {
        // It was closed.
        if (session.other !== side) {
          leave();
          return;
        }
        for (const event of events) side.add(event);
        session.changed();
      },
      onLine: () => {},
    });
    this.leaveOther = leave;
    session.changed();
  }

  async openFileBeside(file: File): Promise<void> {
    this.leaveOther();
    const side = new Side();
    this.session.other = side;
    await feedText(this.session, side, piecesOf(file.stream(), file.size), file.name);
    this.judge(side, `"${file.name}" holds no events.`);
  }

  /** An empty run to be filled; what was open before ends. */
  begin(origin: Session["origin"], title: string): Side {
    this.leave();
    this.leaveOther();
    this.leave = () => {};
    this.leaveOther = () => {};
    this.session.line = "none";
    return this.session.reset(origin, title);
  }

  private judge(side: Side, empty: string): void {
    const { session } = this;
    const { recording } = side;
    if (session.main !== side && session.other !== side) return;
    if (recording.length === 0) session.say(recording.problem === undefined ? empty : `${recording.problem} ${empty}`);
    session.changed();
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
