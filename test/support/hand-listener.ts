import type { Event } from "rubato";
import { quiet } from "./agents.ts";

/** A listener that hears its next event when the test says so. */
export interface HandListener {
  readonly heard: Event[];
  readonly hear: (event: Event) => Promise<void>;
  /** Has it handle so many events, and hear as many after them. */
  next(count?: number): Promise<void>;
  /** Has it handle everything from now on at once. */
  open(): Promise<void>;
}

export function handListener(): HandListener {
  const heard: Event[] = [];
  let release: (() => void) | undefined;
  let opened = false;
  return {
    heard,
    hear(event) {
      heard.push(event);
      if (opened) return Promise.resolve();
      return new Promise((resolve) => {
        release = resolve;
      });
    },
    async next(count = 1) {
      for (let index = 0; index < count; index++) {
        release?.();
        await quiet();
      }
    },
    async open() {
      opened = true;
      release?.();
      await quiet();
    },
  };
}
