import { monitorEventLoopDelay, type IntervalHistogram } from "node:perf_hooks";
import { SLOT_MS, WINDOW_MS } from "./window.ts";

/** What this process uses. */
export interface ProcessFigures {
  /** Bytes. */
  readonly memory: {
    readonly rss: number;
    readonly heapUsed: number;
    readonly heapTotal: number;
    readonly external: number;
  };
  /** Since the process began, ms; `percent` of one core over the last minute, as far as somebody looked. */
  readonly cpu: { readonly userMs: number; readonly systemMs: number; readonly percent: number };
  /** How late timers ring, over the last minute, as far as somebody looked, ms. */
  readonly eventLoopLag: { readonly mean: number; readonly p99: number; readonly max: number };
  readonly uptimeMs: number;
}

/** How often the event loop is asked whether it is late, ms. */
const RESOLUTION_MS = 20;

interface Slot {
  readonly at: number;
  /** CPU time when it began, ms. */
  readonly cpuMs: number;
  mean: number;
  p99: number;
  max: number;
}

/**
 * Watches the event loop of this process, once for everybody who asks.
 *
 * E1 It runs while somebody has it: the last `close` ends it. It keeps no process alive.
 */
class ProcessWatch {
  /** Who has it open. */
  users = 0;
  private histogram: IntervalHistogram | undefined;
  private slots: Slot[] = [];

  open(): () => void {
    this.users++;
    if (this.histogram === undefined) {
      this.histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
      this.histogram.enable();
      this.slots = [newSlot()];
    }
    let open = true;
    return () => {
      if (!open) return;
      open = false;
      if (--this.users > 0) return;
      this.histogram?.disable();
      this.histogram = undefined;
    };
  }

  read(): ProcessFigures {
    const now = performance.now();
    this.note(now);
    const { rss, heapUsed, heapTotal, external } = process.memoryUsage();
    const { user, system } = process.cpuUsage();
    const [oldest] = this.slots;
    const elapsed = oldest === undefined ? 0 : now - oldest.at;
    const used = oldest === undefined ? 0 : (user + system) / 1_000 - oldest.cpuMs;
    const most = (key: "p99" | "max"): number => round(Math.max(0, ...this.slots.map((slot) => slot[key])));
    const means = this.slots.map(({ mean }) => mean);
    return {
      memory: { rss, heapUsed, heapTotal, external },
      cpu: {
        userMs: Math.round(user / 1_000),
        systemMs: Math.round(system / 1_000),
        percent: elapsed > 0 ? Math.round((1_000 * used) / elapsed) / 10 : 0,
      },
      eventLoopLag: {
        mean: round(means.reduce((sum, mean) => sum + mean, 0) / Math.max(1, means.length)),
        p99: most("p99"),
        max: most("max"),
      },
      uptimeMs: Math.round(process.uptime() * 1_000),
    };
  }

  /** Keeps what was seen since the last slot began, and begins another one when it is time. */
  private note(now: number): void {
    const { histogram } = this;
    const slot = this.slots.at(-1);
    if (histogram === undefined || slot === undefined) return;
    if (histogram.count > 0) {
      slot.mean = lagOf(histogram.mean);
      slot.p99 = lagOf(histogram.percentile(99));
      slot.max = lagOf(histogram.max);
    }
    if (now - slot.at < SLOT_MS) return;
    histogram.reset();
    this.slots = [...this.slots.filter(({ at }) => now - at < WINDOW_MS), newSlot()];
  }
}

function newSlot(): Slot {
  const { user, system } = process.cpuUsage();
  return { at: performance.now(), cpuMs: (user + system) / 1_000, mean: 0, p99: 0, max: 0 };
}

/** What is measured, in ns, is the whole time between two looks. */
function lagOf(ns: number): number {
  return Math.max(0, ns / 1e6 - RESOLUTION_MS);
}

function round(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}

/** Of this process. */
export const processWatch = new ProcessWatch();
