import type { Bounds } from "../model/bounds.ts";
import { Causes } from "../model/causes.ts";
import { Lanes } from "../model/lanes.ts";
import { Recording } from "../model/recording.ts";

/** A run with what is drawn of it. */
export class Side {
  /** What it is called before it has lines: a run's id, a file's name. */
  readonly title: string;
  readonly recording: Recording;
  readonly lanes = new Lanes();
  /** How the line to its server is. */
  line: "none" | "open" | "lost" | "ended" = "none";
  /** What is wrong with how it comes, one sentence or two; what is wrong with its lines says the recording. */
  trouble: string | undefined;
  private readonly found = new Causes();

  constructor(bounds?: Bounds, title = "") {
    this.title = title;
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
