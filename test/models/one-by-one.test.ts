import { describe, expect, it } from "vitest";
import { oneByOne } from "../../runtime/models/one-by-one.ts";

interface Item {
  readonly n: number;
}
const item = (n: number): Item => ({ n });
const given = (n: number) => ({ done: false, value: item(n) });
const end = { done: true, value: undefined };

function start(batches: readonly (readonly Item[] | Error)[]) {
  const controller = new AbortController();
  const seen = { pulls: 0, closed: false };
  async function* source(): AsyncGenerator<readonly Item[], void, undefined> {
    try {
      for (const batch of batches) {
        seen.pulls++;
        if (batch instanceof Error) throw batch;
        yield batch;
        if (controller.signal.aborted) return;
      }
    } finally {
      seen.closed = true;
    }
  }
  return { items: oneByOne(source(), controller.signal), controller, seen };
}

describe("oneByOne", () => {
  it("gives the items of all batches in order, and asks for a batch only when it needs one", async () => {
    const { items, seen } = start([[item(1), item(2)], [], [item(3)]]);
    expect(seen.pulls).toBe(0);
    expect(await items.next()).toEqual(given(1));
    expect(await items.next()).toEqual(given(2));
    expect(seen.pulls).toBe(1);
    expect(await items.next()).toEqual(given(3));
    expect(await items.next()).toEqual(end);
    expect(await items.next()).toEqual(end);
  });

  it("answers in order who does not wait", async () => {
    const { items } = start([[item(1), item(2)], [item(3)]]);
    const all = await Promise.all([items.next(), items.next(), items.next(), items.next(), items.next()]);
    expect(all).toEqual([given(1), given(2), given(3), end, end]);
  });

  it("throws what the source throws, once, and ends", async () => {
    const { items } = start([[item(1)], new Error("broken"), [item(2)]]);
    const [first, second, third] = [items.next(), items.next(), items.next()];
    expect(await first).toEqual(given(1));
    await expect(second).rejects.toThrow("broken");
    expect(await third).toEqual(end);
  });

  it("drops the rest of a batch after an abort", async () => {
    const { items, controller, seen } = start([[item(1), item(2)], [item(3)]]);
    expect(await items.next()).toEqual(given(1));
    controller.abort();
    expect(await items.next()).toEqual(end);
    expect(seen.closed).toBe(true);
  });

  it("closes the source when the loop over it is left", async () => {
    const { items, seen } = start([[item(1), item(2)], [item(3)]]);
    for await (const first of items) {
      expect(first).toEqual(item(1));
      break;
    }
    expect(seen).toEqual({ pulls: 1, closed: true });
    expect(await items.next()).toEqual(end);
  });
});
