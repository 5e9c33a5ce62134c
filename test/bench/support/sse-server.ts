import { fork } from "node:child_process";
import { programBeside } from "./program.ts";
import type { FromServer } from "./sse-child.ts";

/** The endpoint of the benchmarks, in a process of its own. */
export interface SseServer {
  readonly baseURL: string;
  /** When the server saw the connection of this request's `user` close: nanoseconds on `process.hrtime.bigint()`. */
  closed(user: string): Promise<bigint>;
  stop(): void;
}

export async function startSseServer(): Promise<SseServer> {
  const seen = new Map<string, bigint>();
  const waiting = new Map<string, (at: bigint) => void>();
  const child = fork(programBeside(import.meta.url, "./sse-child"));
  const port = await new Promise<number>((resolve, reject) => {
    child.on("message", (message: FromServer) => {
      if (message.type === "listening") {
        resolve(message.port);
        return;
      }
      const at = BigInt(message.at);
      const wake = waiting.get(message.user);
      waiting.delete(message.user);
      if (wake === undefined) seen.set(message.user, at);
      else wake(at);
    });
    child.once("error", reject);
    child.once("exit", (code) => {
      reject(new Error(`the server of the benchmark ended with ${code}`));
    });
  });
  return {
    baseURL: `http://127.0.0.1:${port}/v1`,
    closed(user) {
      const at = seen.get(user);
      seen.delete(user);
      return at === undefined ? new Promise((resolve) => waiting.set(user, resolve)) : Promise.resolve(at);
    },
    stop() {
      child.disconnect();
    },
  };
}
