import { causesOf, type Causes } from "../model/causes.ts";
import { Lanes } from "../model/lanes.ts";
import { Recording } from "../model/recording.ts";

/** A run with what is drawn of it. */
export class Side {
  readonly recording = new Recording();
  readonly lanes = new Lanes();
  private found: { readonly length: number; readonly causes: Causes } | undefined;

  add(value: unknown): boolean {
    if (!this.recording.add(value)) return false;
    const entry = this.recording.entries.at(-1);
    if (entry !== undefined) this.lanes.add(entry);
    return true;
  }

  /** Found anew when the log has grown, and only when somebody looks. */
  get causes(): Causes {
    const { length } = this.recording;
    if (this.found?.length !== length) this.found = { length, causes: causesOf(this.recording) };
    return this.found.causes;
  }
}
