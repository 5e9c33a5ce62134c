import { fork } from "node:child_process";
import { programBeside } from "./program.ts";

/** What the clients are asked to do. */
export type ClientOrder =
  | { readonly type: "read"; readonly url: string; readonly clients: number }
  | { readonly type: "sockets"; readonly url: string; readonly clients: number; readonly bytes: number }
  | { readonly type: "idle"; readonly url: string; readonly clients: number }
  | { readonly type: "latency"; readonly url: string; readonly tokens: number }
  | { readonly type: "leave" };

export type FromClients =
  | { readonly type: "ready" | "held" | "left" }
  | { readonly type: "read"; readonly bytes: readonly number[] }
  | { readonly type: "latency"; readonly ns: readonly number[] }
  | { readonly type: "failed"; readonly message: string };

export interface StreamClients {
  order(order: ClientOrder): Promise<FromClients>;
  stop(): void;
}

/** Clients in a process of their own, for one order at a time. */
export async function startStreamClients(): Promise<StreamClients> {
  const child = fork(programBeside(import.meta.url, "./stream-child"));
  const answer = (): Promise<FromClients> =>
    new Promise((resolve, reject) => {
      const onMessage = (message: FromClients): void => {
        child.off("exit", onExit);
        if (message.type === "failed") reject(new Error(`a client of the benchmark failed: ${message.message}`));
        else resolve(message);
      };
      const onExit = (code: number | null): void => {
        child.off("message", onMessage);
        reject(new Error(`the clients of the benchmark ended with ${code}`));
      };
      child.once("message", onMessage);
      child.once("exit", onExit);
    });
  await answer();
  return {
    order(order) {
      const answered = answer();
      child.send(order);
      return answered;
    },
    stop() {
      child.disconnect();
    },
  };
}
