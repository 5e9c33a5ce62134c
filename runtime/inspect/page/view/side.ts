import { Causes } from "../model/causes.ts";
import { Lanes } from "../model/lanes.ts";
import { Recording } from "../model/recording.ts";

/** A run with what is drawn of it. */
export class Side {
  readonly recording = new Recording();
  readonly lanes = new Lanes();
  private readonly found = new Causes();

  add(value: unknown): boolean {
    if (!this.recording.add(value)) return false;
    const entry = this.recording.entries.at(-1);
    if (entry !== undefined) this.lanes.add(entry);
    return true;
  }

  /** Found when somebody looks. */
  get causes(): Causes {
    return this.found.catchUp(this.recording.entries);
  }
}
