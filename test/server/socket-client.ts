import { WebSocket } from "ws";
import { onTestFinished } from "vitest";
import { z } from "zod";
import type { Event } from "rubato";
import { parseEvent } from "rubato/machines";

const frameSchema = z.looseObject({
  type: z.string(),
  id: z.string().optional(),
  events: z.array(z.unknown()).optional(),
});
export type Frame = z.infer<typeof frameSchema>;

/** An independent client of a socket, with everything that it was told. */
export interface SocketClient {
  readonly socket: WebSocket;
  readonly events: readonly Event[];
  /** Everything but events. */
  readonly frames: readonly Frame[];
  /** Frames of events. */
  readonly batches: () => number;
  say(frame: unknown): void;
  /** The frame that answers this id. */
  answer(id: string): Promise<Frame>;
  until(holds: () => boolean): Promise<void>;
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
}

export async function socketTo(url: string, options: { readonly protocols?: string[] } = {}): Promise<SocketClient> {
  const socket = new WebSocket(url.replace(/^http/, "ws"), options.protocols ?? []);
  const events: Event[] = [];
  const frames: Frame[] = [];
  let batches = 0;
  const waiting = new Set<() => void>();
  const look = (): void => {
    for (const check of waiting) check();
  };
  socket.on("message", (data: Buffer) => {
    const frame = frameSchema.parse(JSON.parse(data.toString()));
    if (frame.type === "events") {
      batches++;
      for (const event of frame.events ?? []) events.push(parseEvent(event));
    } else frames.push(frame);
    look();
  });
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.on("close", (code, reason) => {
      resolve({ code, reason: reason.toString() });
    });
  });
  onTestFinished(() => {
    socket.terminate();
  });
  await new Promise<void>((resolve, reject) => {
    socket.on("open", resolve);
    socket.on("error", reject);
  });
  const until = (holds: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      const check = (): void => {
        if (!holds()) return;
        waiting.delete(check);
        resolve();
      };
      waiting.add(check);
      check();
    });
  return {
    socket,
    events,
    frames,
    batches: () => batches,
    say(frame) {
      socket.send(typeof frame === "string" ? frame : JSON.stringify(frame));
    },
    async answer(id) {
      await until(() => frames.some((frame) => frame.id === id));
      const found = frames.find((frame) => frame.id === id);
      if (found === undefined) throw new Error("no answer");
      return found;
    },
    until,
    closed,
  };
}
