import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import { LazySignal, stopOf, type Stop } from "../../runtime/lazy-signal.ts";

function lazy(): { stop: Stop; abort: () => void } {
  const target = new LazySignal();
  return { stop: stopOf(target), abort: () => LazySignal.abort(target) };
}

function plain(): { stop: Stop; abort: () => void } {
  const controller = new AbortController();
  return { stop: stopOf({ signal: controller.signal }), abort: () => controller.abort() };
}

describe.each([
  ["a lazy signal", lazy],
  ["a signal", plain],
])("a stop of %s", (_name, make) => {
  it("calls every listener once, when the stop is under way", () => {
    const { stop, abort } = make();
    const seen: string[] = [];
    stop.listen(() => seen.push(`first ${stop.aborted}`));
    stop.listen(() => seen.push(`second ${stop.aborted}`));
    expect(stop.aborted).toBe(false);
    abort();
    abort();
    expect(seen).toEqual(["first true", "second true"]);
    expect(stop.aborted).toBe(true);
  });

  it("does not call who left, before or in the middle", () => {
    const { stop, abort } = make();
    const seen: string[] = [];
    const leave = stop.listen(() => seen.push("left"));
    const undo = stop.listen(() => {
      seen.push("stays");
      undo();
    });
    leave();
    abort();
    undo();
    expect(seen).toEqual(["stays"]);
  });

  it("calls nobody who comes too late", () => {
    const { stop, abort } = make();
    abort();
    let called = false;
    const leave = stop.listen(() => {
      called = true;
    });
    leave();
    expect(called).toBe(false);
  });
});

describe("a lazy signal", () => {
  it("stops the listeners and the signal that somebody asked for, whoever has it", () => {
    const target = new LazySignal();
    const copy = { signal: target.signal };
    const seen: string[] = [];
    stopOf(target).listen(() => seen.push("direct"));
    stopOf(copy).listen(() => seen.push("signal"));
    expect(getEventListeners(target.signal, "abort")).toHaveLength(1);
    LazySignal.abort(target);
    expect(seen).toEqual(["direct", "signal"]);
    expect(target.signal.aborted).toBe(true);
  });

  it("is aborted for who asks for the signal later", () => {
    const target = new LazySignal();
    LazySignal.abort(target);
    expect(target.signal.aborted).toBe(true);
    expect(stopOf(target).aborted).toBe(true);
  });
});
