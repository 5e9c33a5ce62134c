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
  readonly head: () => SeenHead;
  readonly follower: () => FollowHead | undefined;
}

/** Whichever head counts at the moment: a reader stays when the run changes its owner. */
export class CurrentHead implements ReadableHead {
  private readonly current: () => SeenHead;
  private readonly follower: () => FollowHead | undefined;
  readonly runId: string;

  constructor({ head, follower, runId }: CurrentHeadParts) {
    this.current = head;
    this.follower = follower;
    this.runId = runId;
  }

  get durableSeq(): number {
    return this.current().durableSeq;
  }

  get publishedSeq(): number {
    return this.current().publishedSeq;
  }

  get atRest(): boolean {
    return this.current().atRest;
  }

  get failure(): RubatoError | undefined {
    return this.current().failure;
  }

  volatileAfter(cursor: number): readonly Event[] {
    return this.current().volatileAfter(cursor);
  }

  onProgress(callback: () => void): () => void {
    return this.current().onProgress(callback);
  }

  onStored(callback: () => void): () => void {
    return this.current().onStored(callback);
  }

  async refresh(): Promise<void> {
    await this.follower()?.refresh();
  }
}
