import { expect } from "vitest";
import { events } from "../log-fixture.ts";
import { all, append, told, type Suite } from "./suite.ts";

/** Who waits is told, whoever wrote. */
export function watchContract({ on }: Suite): void {
  for (const who of ["the same log", "another one"] as const) {
    on(`says that events came, to a watcher of ${who}`, async (log, other) => {
      const seeing = who === "the same log" ? log : other;
      await append(log, "r", events("r", 1, 1));
      for (let seq = 2; seq < 6; seq++) {
        await told(
          (onChange) => seeing.watch("r", onChange),
          () => append(log, "r", events("r", seq, seq)),
          async () => (await all(seeing, "r")).length === seq,
        );
      }
    });

    on(`says that a run began, changed its owner, and went, to a watcher of ${who}`, async (log, other) => {
      const seeing = who === "the same log" ? log : other;
      const watch = (onChange: () => void) => seeing.watch("r", onChange);
      const is =
        (seq: number, epoch: number, owned: boolean): (() => Promise<boolean>) =>
        async () => {
          const head = await seeing.head("r");
          return head.seq === seq && head.epoch === epoch && head.owned === owned;
        };
      const begin = (): Promise<void> => append(log, "r", events("r", 1, 1));
      await told(watch, begin, is(1, 1, true));
      await told(watch, async () => log.release("r", 1), is(1, 1, false));
      await told(watch, async () => log.claim("r"), is(1, 2, true));
      await told(watch, async () => log.delete("r"), is(0, 0, false));
      await told(watch, begin, is(1, 1, true));
    });
  }

  on("says nothing any more after its undo, and nothing of other runs' watchers goes with it", async (log) => {
    await append(log, "r", events("r", 1, 1));
    let first = 0;
    const undo = log.watch("r", () => first++);
    undo();
    undo();
    await told(
      (onChange) => log.watch("r", onChange),
      () => append(log, "r", events("r", 2, 2)),
      async () => (await all(log, "r")).length === 2,
    );
    expect(first).toBe(0);
  });

  on("a follower reads every event once, in order", async (log, other) => {
    const seen: number[] = [];
    let wake = (): void => {};
    const undo = other.watch("r", () => {
      wake();
    });
    const follow = async (): Promise<void> => {
      while (seen.length < 300) {
        const woken = new Promise<void>((resolve) => (wake = resolve));
        const page = await other.read("r", { after: seen.length, limit: 7 });
        if (page.length === 0) await woken;
        for (const event of page) seen.push(event.seq);
      }
    };
    const following = follow();
    for (let seq = 1; seq <= 300; seq += 3) await append(log, "r", events("r", seq, seq + 2));
    await following;
    undo();
    expect(seen).toEqual(Array.from({ length: 300 }, (_, at) => at + 1));
  });
}
