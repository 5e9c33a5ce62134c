import type { Command } from "../machines/command.ts";
import type { Bus } from "./bus.ts";
import type { Clock } from "./clock.ts";
import type { SeenHead } from "./current-head.ts";
import type { FollowHead } from "./follow-head.ts";
import type { EventLog } from "./log/event-log.ts";
import type { Owner } from "./owner.ts";
import type { Answered, Verb } from "./post.ts";
import type { Tasks } from "./tasks.ts";

/** What the public face of a run is made of. */
export interface RunParts {
  readonly runId: string;
  readonly log: EventLog;
  readonly clock: Clock;
  readonly bus: Bus;
  readonly tasks: Tasks;
  /** To be woken when the log fails: interrupts that wait to become effective. */
  readonly stopping: Set<() => void>;
  /** The head that counts now. */
  head(): SeenHead;
  owner(): Owner | undefined;
  follower(): FollowHead | undefined;
  /** Answers at once where this process owns the run and its log has stored the command. */
  command(asked: Command, verb: () => Verb, graceMs?: number): Answered | Promise<Answered>;
  isClosed(): boolean;
  /** Somebody began to listen. */
  onListening(): void;
  onBackground(): void;
}
