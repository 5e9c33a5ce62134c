import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createPacer } from "../../runtime/cli/pacer.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

it("does the job once per interval, however often it is asked for", () => {
  const job = vi.fn<() => void>();
  const pacer = createPacer(job, 33, 100);
  for (let index = 0; index < 10; index++) pacer.request();
  vi.advanceTimersByTime(0);
  expect(job).toHaveBeenCalledTimes(1);
  for (let index = 0; index < 10; index++) pacer.request();
  vi.advanceTimersByTime(32);
  expect(job).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(1);
  expect(job).toHaveBeenCalledTimes(2);
  expect(vi.getTimerCount()).toBe(0);
});

it("ticks while it is on, and has no timer at rest or after its end", () => {
  const job = vi.fn<() => void>();
  const pacer = createPacer(job, 33, 100);
  pacer.ticking(true);
  pacer.ticking(true);
  vi.advanceTimersByTime(1_050);
  expect(job).toHaveBeenCalledTimes(10);
  pacer.ticking(false);
  vi.advanceTimersByTime(50);
  expect(vi.getTimerCount()).toBe(0);
  pacer.ticking(true);
  pacer.request();
  pacer.stop();
  pacer.request();
  pacer.ticking(true);
  expect(vi.getTimerCount()).toBe(0);
});
