import type { Session, Speed } from "./session.ts";

/** The longest that nothing happens while it plays, ms: nobody watches a run sleep. */
const LONGEST = 1_000;
/** The least that an event is seen, ms at speed 1: clocks of recorded runs may stand still. */
const LEAST = 4;

/** Plays a run again at its own pace, or ten times that. */
export class Player {
  private last = 0;
  private credit = 0;

  private readonly session: Session;

  constructor(session: Session) {
    this.session = session;
  }

  toggle(speed: Speed): void {
    const { session } = this;
    if (session.playing === speed) {
      session.playing = undefined;
      session.changed();
      return;
    }
    const wasPlaying = session.playing !== undefined;
    session.playing = speed;
    if (session.seq >= session.endSeq) session.goTo(0);
    session.changed();
    if (wasPlaying) return;
    this.last = performance.now();
    this.credit = 0;
    requestAnimationFrame(this.tick);
  }

  private readonly tick = (now: number): void => {
    const { session } = this;
    const { playing } = session;
    if (playing === undefined) return;
    this.credit += Math.max(0, now - this.last) * playing;
    this.last = now;
    const { times } = session.main.lanes;
    let index = session.index;
    const before = index;
    while (index < times.length - 1) {
      const gap = (times[index + 1] ?? 0) - (times[index] ?? times[index + 1] ?? 0);
      const cost = Math.min(LONGEST, Math.max(LEAST, gap));
      if (cost > this.credit) break;
      this.credit -= cost;
      index++;
    }
    if (index !== before) session.goToIndex(index);
    if (index >= times.length - 1) {
      session.playing = undefined;
      session.changed();
      return;
    }
    requestAnimationFrame(this.tick);
  };
}
