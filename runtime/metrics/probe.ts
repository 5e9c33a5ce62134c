import type { Event, EventType } from "../../machines/events.ts";
import type { AgentState } from "../../machines/state.ts";
import { step, type StepResult } from "../../machines/step.ts";
import type { Clock } from "../clock.ts";
import type { Audience } from "../head.ts";

/** One in so many is timed: two looks at a clock cost more than some of what they would time. A power of two. */
const ONE_IN = 16;

/** What is timed where events are made. */
export type Timed = "append" | "step" | "publish";

/** Times some of what a run's head does. A run has one only where somebody asked for figures when it was begun. */
export class Probe {
  private readonly clock: Clock;
  private readonly record: (what: Timed, ms: number) => void;
  private appends = 0;
  private steps = 0;
  private publishes = 0;

  constructor(clock: Clock, record: (what: Timed, ms: number) => void) {
    this.clock = clock;
    this.record = record;
  }

  /** The moment when an append begins that is timed; undefined for the others. */
  beginAppend(): number | undefined {
    return this.appends++ % ONE_IN === 0 ? this.clock.monotonic() : undefined;
  }

  endAppend(begun: number | undefined): void {
    if (begun !== undefined) this.record("append", this.clock.monotonic() - begun);
  }

  /** The same as `step`. */
  readonly step = (state: AgentState, event: Event): StepResult => {
    if (this.steps++ % ONE_IN !== 0) return step(state, event);
    const begun = this.clock.monotonic();
    const result = step(state, event);
    this.record("step", this.clock.monotonic() - begun);
    return result;
  };

  /** The same audience. */
  timing(audience: Audience): Audience {
    return new TimedAudience(audience, this);
  }

  publish(audience: Audience, event: Event): void {
    if (this.publishes++ % ONE_IN !== 0) {
      audience.publish(event);
      return;
    }
    const begun = this.clock.monotonic();
    audience.publish(event);
    this.record("publish", this.clock.monotonic() - begun);
  }
}

class TimedAudience implements Audience {
  private readonly audience: Audience;
  private readonly probe: Probe;

  constructor(audience: Audience, probe: Probe) {
    this.audience = audience;
    this.probe = probe;
  }

  publish(event: Event): void {
    this.probe.publish(this.audience, event);
  }

  stored(events: readonly Event[]): void {
    this.audience.stored(events);
  }

  hears(type: EventType): boolean {
    return this.audience.hears(type);
  }

  passed(count: number): void {
    this.audience.passed(count);
  }
}
