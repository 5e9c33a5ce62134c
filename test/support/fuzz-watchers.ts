import { isDeepStrictEqual } from "node:util";
import type { Overflow, Run } from "rubato";
import { isHot, type Event } from "rubato/machines";
import { quiet } from "./agents.ts";
import type { Dice } from "./fuzz-model.ts";

/** Reports that a promise did not hold. */
export type Problem = (promise: string, what: string) => void;

/** For what must not reject. */
export function problemOf(problem: Problem, promise: string): (error: unknown) => void {
  return (error) => {
    problem(promise, String(error));
  };
}

/** Subscribers and readers of one run that compare what they got with what is in the log. */
export interface Watchers {
  /** Those that are there from the first event on: quick and slow ones, some that give commands, some that misbehave. */
  atStart(): void;
  /** One more, at any moment. */
  readonly add: () => void;
  /** P26: each got exactly the log after its cursor, once, in order. */
  check(events: readonly Event[]): Promise<void>;
}

export function fuzzWatchers(run: Run, dice: Dice, problem: Problem, act: () => void): Watchers {
  const checks: ((events: readonly Event[]) => void)[] = [];
  const readers: AsyncIterableIterator<unknown>[] = [];

  function expectAll(name: string, from: number, admits: (event: Event) => boolean = () => true): Event[] {
    const got: Event[] = [];
    checks.push((events) => {
      const wanted = events.slice(from).filter((event) => admits(event));
      if (isDeepStrictEqual(got, wanted)) return;
      const seqs = got.map((event) => event.seq).join(" ");
      problem(`P26 ${name} from seq ${from} gets exactly the log`, `it got ${seqs} of ${events.length}`);
    });
    return got;
  }

  function listen(name: string, after: (() => unknown) | undefined): void {
    const got = expectAll(name, run.stats().published);
    run.subscribe("*", (event) => {
      got.push(event);
      return after?.();
    });
  }

  function read(from: number, commands: boolean): void {
    const reader = run.events({ from, follow: true });
    const got = expectAll("a reader", from);
    readers.push(reader);
    const reading = async (): Promise<void> => {
      for await (const event of reader) {
        got.push(event);
        if (commands) act();
      }
    };
    reading().then(undefined, problemOf(problem, "reading never rejects"));
  }

  function readBatches(from: number, durable: boolean): void {
    const reader = run.batches({ from, durable, follow: true, queue: { events: 3 } });
    const got = expectAll(durable ? "a reader of durable batches" : "a reader of batches", from);
    readers.push(reader);
    const reading = async (): Promise<void> => {
      for await (const batch of reader) {
        got.push(...batch);
        const beyond = batch.find(({ seq }) => seq > run.durableSeq);
        if (durable && beyond !== undefined) problem("P2 durable readers see only what is stored", `seq ${beyond.seq}`);
        await slowly();
      }
    };
    reading().then(undefined, problemOf(problem, "reading batches never rejects"));
  }

  /** Slower than its queue, whatever becomes of the tokens: control events come as they are. */
  function lag(overflow: Overflow): void {
    const controls = expectAll(`a listener with ${overflow}`, run.stats().published, (event) => !isHot(event));
    const hear = (event: Event): unknown => {
      if (!isHot(event) && event.type !== "gap") controls.push(event);
      return slowly();
    };
    run.subscribe("*", hear, { queue: { events: 2 }, overflow });
  }

  const slowly = async (): Promise<void> => {
    await Promise.resolve();
    await Promise.resolve();
  };
  return {
    atStart() {
      const acting = dice.chance(0.4);
      listen("a quick listener", undefined);
      listen("a slow listener", slowly);
      if (acting) listen("a listener that commands", act);
      if (dice.chance(0.3)) listen("a slow listener that commands", () => slowly().then(act));
      const tools = expectAll("a listener to tool_*", run.stats().published, ({ type }) => type.startsWith("tool_"));
      run.subscribe("tool_*", (event) => tools.push(event));
      run.subscribe("*", () => {
        throw new Error("a listener that throws");
      });
      run.subscribe("token_stream", () => new Promise(() => {}));
      read(0, acting);
      readBatches(0, false);
      readBatches(0, true);
      for (const overflow of ["coalesce", "drop-oldest", "drop-newest", "block"] as const) lag(overflow);
    },
    add() {
      const [late, from] = [dice.chance(0.5), dice.below(run.durableSeq + 1)];
      if (late) listen("a late listener", dice.chance(0.5) ? slowly : undefined);
      else read(from, false);
    },
    async check(events) {
      // Those that fell behind read on page by page.
      for (let round = 0; round < 3; round++) await quiet();
      for (const check of checks) check(events);
      for (const reader of readers) await reader.return?.();
      await quiet();
    },
  };
}
