import { getEventListeners } from "node:events";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { currentTime, wait } from "../../tools/index.ts";
import { fakeContext } from "./fixture.ts";

beforeEach(() => {
  vi.useFakeTimers({ now: new Date("2026-11-02T14:05:09Z") });
});
afterEach(() => {
  vi.useRealTimers();
});

describe("current_time", () => {
  test.each([
    ["Asia/Tokyo", "2026-11-02 23:05:09", "+09:00", "Monday"],
    ["America/New_York", "2026-11-02 09:05:09", "-05:00", "Monday"],
    ["Pacific/Kiritimati", "2026-11-03 04:05:09", "+14:00", "Tuesday"],
    ["UTC", "2026-11-02 14:05:09", "+00:00", "Monday"],
  ])("in %s", (timeZone, local, offset, weekday) => {
    const utc = "2026-11-02T14:05:09.000Z";
    expect(currentTime.execute({ timeZone }, fakeContext())).toEqual({ timeZone, local, offset, weekday, utc });
  });

  test("midnight is hour 00", () => {
    vi.setSystemTime(new Date("2026-11-02T00:00:00Z"));
    expect(currentTime.execute({ timeZone: "UTC" }, fakeContext())).toMatchObject({ local: "2026-11-02 00:00:00" });
  });

  test("an unknown zone is one clear sentence", () => {
    expect(() => currentTime.execute({ timeZone: "Mars/Olympus" }, fakeContext())).toThrow(
      '"Mars/Olympus" is not a known time zone. Use an IANA name such as "Europe/Rome" or "Asia/Shanghai".',
    );
  });
});

describe("wait", () => {
  /** Nothing is left behind: no timer, no listener. */
  function expectClean(signal: AbortSignal): void {
    expect(vi.getTimerCount()).toBe(0);
    expect(getEventListeners(signal, "abort")).toHaveLength(0);
  }

  test("reports each second and ends", async () => {
    const ctx = fakeContext();
    const waiting = wait.execute({ seconds: 3 }, ctx);
    await vi.advanceTimersByTimeAsync(3000);
    expect(await waiting).toEqual({ waited: 3 });
    expect(ctx.reported).toEqual([
      { elapsed: 1, total: 3 },
      { elapsed: 2, total: 3 },
    ]);
    expectClean(ctx.signal);
  });

  test("stops at once when the call is aborted", async () => {
    const controller = new AbortController();
    const ctx = fakeContext(controller.signal);
    const waiting = wait.execute({ seconds: 60 }, ctx);
    await vi.advanceTimersByTimeAsync(2500);
    controller.abort();
    expectClean(ctx.signal);
    await expect(waiting).rejects.toThrow("The wait was stopped after 2 of 60 seconds.");
  });

  test("does not start when the call is aborted already", async () => {
    const ctx = fakeContext(AbortSignal.abort());
    await expect(wait.execute({ seconds: 60 }, ctx)).rejects.toThrow("stopped after 0 of 60 seconds");
    expectClean(ctx.signal);
  });

  test("cleans up when nobody can take its progress", async () => {
    const ctx = fakeContext();
    ctx.progress = () => {
      throw new Error("no progress here");
    };
    const waiting = wait.execute({ seconds: 60 }, ctx);
    const failed = expect(waiting).rejects.toThrow("no progress here");
    await vi.advanceTimersByTimeAsync(1000);
    await failed;
    expectClean(ctx.signal);
  });

  test("takes 0 to 3,600 seconds", async () => {
    for (const seconds of [-1, 3601, Number.NaN]) expect(await wait.prepare({ seconds })).toMatchObject({ ok: false });
    const none = wait.execute({ seconds: 0 }, fakeContext());
    await vi.advanceTimersByTimeAsync(0);
    expect(await none).toEqual({ waited: 0 });
  });
});
