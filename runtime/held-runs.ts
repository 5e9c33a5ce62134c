import { Lane } from "./lane.ts";
import type { Overflow, SubscribeOptions } from "./overflow.ts";
import type { OwnedRun } from "./owned-run.ts";
import { Observers, type RunObserver } from "./observe.ts";
import type { EventPattern } from "./pattern.ts";
import type { Listener } from "./subscriber.ts";
import { createTasks, type Tasks } from "./tasks.ts";

/** Runs at rest that an agent holds, so that `open` finds them without their log. */
const KEPT_AT_REST = 100;

/** What a subscription needs of a run, whatever its context. */
type Heard = Pick<OwnedRun, "subscribe">;

/** Undoes are kept per run and weakly: a subscriber to all runs must not keep them alive. */
type Undoes = WeakMap<Heard, () => void>;

/**
 * The runs that an agent holds, and who listens to all of them. One that works is held, also where nobody else holds it; of those at rest the latest
 * are. No weak references: a young one keeps all that it names alive through every minor collection, which made a finished run dear.
 */
export class HeldRuns<Owned extends OwnedRun<never>> {
  private readonly working = new Set<Owned>();
  private readonly atRest = new Set<Owned>();
  /** Runs that are let go. Made for the first. */
  private leaving: Tasks | undefined;
  /** Attaches each subscriber to all runs to one more of them. Made for the first. */
  private attached: Set<(owned: Heard) => void> | undefined;
  /** Made for the first. */
  private observers: Observers | undefined;

  /** Holds a run from its first moment on. */
  add(owned: Owned, atRest: boolean): void {
    (atRest ? this.atRest : this.working).add(owned);
    this.attachAll(owned);
    this.forgetOldest();
  }

  /** To be called when a run comes to rest, and when it leaves its rest. */
  rested(owned: Owned, atRest: boolean): void {
    if (atRest) {
      this.working.delete(owned);
      this.atRest.add(owned);
      this.observers?.rested(owned);
      this.forgetOldest();
      return;
    }
    this.atRest.delete(owned);
    this.working.add(owned);
    // One that was let go may have missed subscriptions.
    this.attachAll(owned);
  }

  /** The run of this id; of several the one that is real. */
  find(runId: string): Owned | undefined {
    // A second run of an id settles as failed, so that the first is the real one; the latest that stored something, where one was deleted.
    const all = this.alive().filter((owned) => owned.run.id === runId && !owned.failed());
    return all.findLast(({ run }) => run.durableSeq > 0) ?? all[0];
  }

  subscribe<Pattern extends EventPattern, Policy extends Overflow>(
    pattern: Pattern,
    listener: Listener<Pattern, Policy>,
    options: SubscribeOptions<Policy>,
  ): () => void {
    this.attached ??= new Set();
    const { attached } = this;
    const lane = new Lane(options);
    const undoes: Undoes = new WeakMap();
    const attach = (owned: Heard): void => {
      if (undoes.has(owned)) return;
      // A run that the agent let go is not found when the subscription ends: its listener looks for itself.
      const heard: Listener<Pattern, Policy> = (event) => (attached.has(attach) ? listener(event) : undefined);
      undoes.set(owned, owned.subscribe(pattern, heard, lane));
    };
    attached.add(attach);
    for (const owned of this.alive()) attach(owned);
    const undo = (): void => {
      attached.delete(attach);
      for (const owned of this.alive()) undoes.get(owned)?.();
      // Also what a run that the agent let go has left in it.
      lane.close();
    };
    lane.undo = undo;
    return undo;
  }

  /** Has somebody see what happens in all of them. */
  observe(observer: RunObserver): () => void {
    this.observers ??= new Observers();
    return this.observers.add(observer, () => this.alive());
  }

  /** Ends all of them. */
  async close(): Promise<void> {
    await Promise.all(this.alive().map((owned) => owned.close()));
    await this.leaving?.idle();
  }

  /** Those that are held now. */
  alive(): readonly Owned[] {
    return [...this.working, ...this.atRest];
  }

  private attachAll(owned: Owned): void {
    if (this.attached !== undefined) for (const attach of this.attached) attach(owned);
    this.observers?.attach(owned);
  }

  /** Whoever has the run itself loses nothing; only `open` does not find it any more. One with background work is kept until that ends. */
  private forgetOldest(): void {
    if (this.atRest.size <= KEPT_AT_REST) return;
    for (const owned of this.atRest) {
      if (owned.busy()) continue;
      this.atRest.delete(owned);
      this.leaving ??= createTasks(Number.POSITIVE_INFINITY, { taskFailed() {} });
      this.leaving.adopt("letting go of a run", owned.letGo());
      return;
    }
  }
}
