import type { Bounds } from "../model/bounds.ts";
import { Causes } from "../model/causes.ts";
import { Lanes } from "../model/lanes.ts";
import { Recording } from "../model/recording.ts";

/** A run with what is drawn of it. */
export class Side {
  readonly recording: Recording;
  readonly lanes = new Lanes();
  private readonly found = new Causes();

  constructor(bounds?: Bounds) {
    this.recording = new Recording(bounds);
  }

  add(value: unknown): boolean {
    if (!this.recording.add(value)) return false;
    const entry = this.recording.entries.at(-1);
    if (entry !== undefined) this.lanes.add(entry);
    return true;
  }

  /** Makes room: forgets the first lines. Answers how many they were. */
  drop(): number {
    // What is kept may have been caused by what goes.
    this.found.catchUp(this.recording.entries);
    const count = this.recording.drop();
    this.lanes.drop(count);
    this.found.drop(count, this.recording.firstSeq);
    return count;
  }

  /** Found when somebody looks. */
  get causes(): Causes {
    return this.found.catchUp(this.recording.entries);
  }
}
