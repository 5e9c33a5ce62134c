import { matchesKey } from "@earendil-works/pi-tui";
import { isTerminal, type Event } from "../../machines/events.ts";
import type { Io } from "./io.ts";

/** Decides when the next event of a replay is shown: at its recorded pace, or when somebody presses a key. */
export interface Pilot {
  /** Resolves when the event may be shown, `gapMs` of recorded time after the one before. False when the replay is to end. */
  allow(event: Event, gapMs: number): Promise<boolean>;
  key(bytes: string): void;
  readonly stepping: boolean;
}

export interface PilotOptions {
  /** Recorded ms per ms; infinite: no waiting. */
  readonly speed: number;
  readonly stepping: boolean;
  /** Nobody can press keys: nothing is waited for. */
  readonly alone: boolean;
  readonly io: Pick<Io, "now" | "sleep">;
  readonly onChange: () => void;
}

/** Without a wait for so many events the rest of the program would never get its turn. */
const BREATH = 128;

export function createPilot({ speed, stepping: steps, alone, io, onChange }: PilotOptions): Pilot {
  let mode: "playing" | "stepping" | "to_step" | "ended" = steps && !alone ? "stepping" : "playing";
  /** Events that may be shown one by one. */
  let allowed = 0;
  let due: number | undefined;
  let breath = 0;
  let wake = new AbortController();

  async function pause(ms: number): Promise<void> {
    wake = new AbortController();
    await io.sleep(ms, wake.signal);
  }

  async function paced(gapMs: number): Promise<void> {
    const now = io.now();
    due = Math.max(due ?? now, now - 1_000) + (speed === Number.POSITIVE_INFINITY ? 0 : gapMs / speed);
    if (due > now) await pause(due - now);
    else if (++breath % BREATH === 0) await pause(0);
  }

  return {
    async allow(event, gapMs) {
      if (mode === "playing") await paced(gapMs);
      for (;;) {
        switch (mode) {
          case "ended":
            return false;
          case "playing":
            return true;
          case "to_step":
            if (event.type === "thinking" || isTerminal(event)) mode = "stepping";
            else if (++breath % BREATH === 0) await pause(0);
            return true;
          case "stepping":
            if (allowed > 0) {
              allowed--;
              return true;
            }
            due = undefined;
            await pause(60_000);
        }
      }
    },
    key(bytes) {
      if (isLeaving(bytes)) mode = "ended";
      else if (bytes === " " && mode === "playing") mode = "stepping";
      else if (bytes === " " || matchesKey(bytes, "right")) {
        if (mode === "stepping") allowed++;
        mode = "stepping";
      } else if (matchesKey(bytes, "enter")) mode = "to_step";
      else if (bytes === "p") mode = "playing";
      else return;
      wake.abort();
      onChange();
    },
    get stepping() {
      return mode === "stepping";
    },
  };
}

/** Also for what else is left by a key. */
export function isLeaving(bytes: string): boolean {
  return bytes === "q" || matchesKey(bytes, "escape") || matchesKey(bytes, "ctrl+c") || matchesKey(bytes, "ctrl+d");
}
