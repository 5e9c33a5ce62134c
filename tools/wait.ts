import { z } from "zod";
import { defineTool } from "./tool.ts";

/**
 * Tool `wait`: does nothing for 0 to 3,600 seconds, and stops at once when the call is aborted. Each full second before the end it reports
 * `{ elapsed, total }`, in seconds. Answers `{ waited }`, in seconds.
 */
export const wait = defineTool({
  name: "wait",
  description: "Waits for a number of seconds (0 to 3600), then answers. Can be interrupted.",
  input: z.object({ seconds: z.number().min(0).max(3600).describe("How long, in seconds") }),
  idempotent: true,
  // The longest wait and a minute more: the tool's own end comes first.
  timeoutMs: 3_660_000,
  execute({ seconds }, ctx) {
    const { signal } = ctx;
    return new Promise((resolve, reject) => {
      let elapsed = 0;
      const stop = () => {
        clearTimeout(end);
        clearInterval(tick);
        signal.removeEventListener("abort", aborted);
      };
      const aborted = () => {
        stop();
        reject(new Error(`The wait was stopped after ${elapsed} of ${seconds} seconds.`, { cause: signal.reason }));
      };
      const end = setTimeout(() => {
        stop();
        resolve({ waited: seconds });
      }, seconds * 1000);
      const tick = setInterval(() => {
        elapsed++;
        // The end reports itself; which of two timers of the same moment fires first is not ours to choose.
        if (elapsed >= seconds) return;
        try {
          ctx.progress({ elapsed, total: seconds });
        } catch (error) {
          stop();
          reject(error instanceof Error ? error : new Error("The progress of the wait could not be reported."));
        }
      }, 1000);
      signal.addEventListener("abort", aborted, { once: true });
      if (signal.aborted) aborted();
    });
  },
});
