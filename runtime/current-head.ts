import type { Event } from "../machines/events.ts";
import type { AgentState } from "../machines/state.ts";
import type { RubatoError } from "./errors.ts";
import type { FollowHead } from "./follow-head.ts";
import type { ReadableHead } from "./reader.ts";

/** A head of this process's own or a follower's. */
export type SeenHead = ReadableHead & {
  readonly state: AgentState;
  rest<T>(read: () => T): Promise<T>;
  /** Tells what waits to be told. Absent where nothing ever does. */
  flush?(): void;
};

interface CurrentHeadParts {
  readonly runId: string;
  head(): SeenHead;
  follower(): FollowHead | undefined;
}

/** Whichever head counts at the moment: a reader stays when the run changes its owner. */
export class CurrentHead implements ReadableHead {
  private readonly run: CurrentHeadParts;
  readonly runId: string;

  constructor(run: CurrentHeadParts) {
    this.run = run;
    this.runId = run.runId;
  }

  get durableSeq(): number {
    return this.run.head().durableSeq;
  }

  get publishedSeq(): number {
    return this.run.head().publishedSeq;
  }

  get atRest(): boolean {
    return this.run.head().atRest;
  }

  get failure(): RubatoError | undefined {
    return this.run.head().failure;
  }

  volatileAfter(cursor: number): readonly Event[] {
    return this.run.head().volatileAfter(cursor);
  }

  onProgress(callback: () => void): () => void {
    return this.run.head().onProgress(callback);
  }

  onStored(callback: () => void): () => void {
    return this.run.head().onStored(callback);
  }

  async refresh(): Promise<void> {
    await this.run.follower()?.refresh();
  }
}
