import type { Player } from "./player.ts";
import type { Session } from "./session.ts";

/** The scrubber: any moment by dragging, play, steps, zoom. */
export function Transport({ session, player }: { session: Session; player: Player }) {
  const { recording } = session.main;
  const { playing, axis } = session;
  const entry = recording.entryAt(session.seq);
  const set = (change: () => void) => () => {
    change();
    session.changed();
  };
  return (
    <div class="transport" role="toolbar" aria-label="Scrubber">
      <button type="button" aria-pressed={playing === 1} onClick={() => player.toggle(1)} title="Play (Space)">
        {playing === 1 ? "❚❚" : "▶"} 1×
      </button>
      <button type="button" aria-pressed={playing === 10} onClick={() => player.toggle(10)} title="Play (Shift Space)">
        {playing === 10 ? "❚❚" : "▶"} 10×
      </button>
      <button
        type="button"
        onClick={() => session.moveStep(-1)}
        title="The step before ( [ )"
        aria-label="The step before"
      >
        ‹<span class="wide"> step</span>
      </button>
      <button type="button" onClick={() => session.moveStep(1)} title="The next step ( ] )" aria-label="The next step">
        <span class="wide">step </span>›
      </button>
      <button
        type="button"
        onClick={() => session.moveToInterrupt()}
        title="The next interrupt (i)"
        disabled={session.main.lanes.interrupts.length === 0}
      >
        <span class="wide">next </span>interrupt
      </button>
      <input
        type="range"
        class="scrubber"
        aria-label="Moment"
        aria-valuetext={`seq ${session.seq} of ${recording.endSeq}, ${entry?.type ?? "before the first event"}`}
        min={session.firstSeq}
        max={recording.endSeq}
        value={session.seq}
        onInput={(input) => session.goTo(Number(input.currentTarget.value))}
      />
      <span class="moment">
        seq <b>{session.seq}</b> / {recording.endSeq}
      </span>
      <span class="moment wide">
        turn {session.main.lanes.turns.findLast(({ index }) => index <= session.index)?.number ?? 0}, step{" "}
        {session.step}
      </span>
      <span class="group">
        <button type="button" onClick={() => session.zoom(0.5)} aria-label="Zoom in" title="Zoom in (+)">
          +
        </button>
        <button type="button" onClick={() => session.zoom(2)} aria-label="Zoom out" title="Zoom out (−)">
          −
        </button>
        <button type="button" onClick={set(() => (session.window = undefined))} title="The whole run (0)">
          all
        </button>
        <button
          type="button"
          aria-pressed={axis === "time"}
          title="The timeline by time, or event by event"
          onClick={set(() => (session.axis = axis === "time" ? "order" : "time"))}
        >
          time
        </button>
      </span>
    </div>
  );
}
