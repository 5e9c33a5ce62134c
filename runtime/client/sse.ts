import { createParser } from "eventsource-parser";
import type { Event } from "../../machines/events.ts";
import { RubatoError } from "../errors.ts";
import { retryAfterMs } from "../retry-after.ts";
import type { Connection, ConnectionEnd, ConnectionEvents } from "./connection.ts";
import { eventOf, parseJson } from "./decode.ts";
import { httpError, networkError } from "./failure.ts";
import { bodyOf, headersOf, isPassing, redirected } from "./http.ts";
import type { Settings } from "./options.ts";
import { Silence } from "./silence.ts";

/** UTF-16 units of one frame that has not ended. Far beyond any event, and far from where memory ends. */
const MAX_FRAME = 67_108_864;

/** Events as a response that streams. `url` names the run, the cursor and the client. */
export function openSse(settings: Settings, url: string, events: ConnectionEvents): Connection {
  const { clock, heartbeatMs, connectMs, secrets } = settings;
  const controller = new AbortController();
  let over = false;
  let goOn: (() => void) | undefined;
  let gate: Promise<void> | undefined;
  let silence: Silence | undefined;
  let cancel = (): void => {};
  const stopConnect = clock.timer(connectMs, () => {
    end({ kind: "cut", error: new RubatoError("disconnected", `The server did not answer within ${connectMs} ms.`) });
  });

  function close(): void {
    if (over) return;
    over = true;
    stopConnect();
    silence?.stop();
    goOn?.();
    controller.abort();
    cancel();
  }

  function end(how: ConnectionEnd): void {
    if (over) return;
    close();
    events.onEnd(how);
  }

  async function connect(): Promise<ConnectionEnd> {
    const { credentials } = settings;
    const response = await settings.fetch(url, {
      headers: { ...headersOf(settings), Accept: "text/event-stream" },
      signal: controller.signal,
      redirect: "manual",
      ...(credentials === undefined ? {} : { credentials }),
    });
    const elsewhere = redirected(response);
    if (elsewhere !== undefined) return { kind: "fatal", error: elsewhere };
    const { status } = response;
    if (status === 204) return { kind: "over" };
    if (status !== 200) {
      const error = httpError(status, await bodyOf(response), secrets);
      if (!isPassing(status)) return { kind: "fatal", error };
      return { kind: "cut", error, retryAfterMs: retryAfterMs(response.headers.get("retry-after"), clock.now()) };
    }
    const type = response.headers.get("content-type") ?? "";
    if (!/^text\/event-stream\b/i.test(type)) {
      const message = `The server answered ${secrets.hide(type).slice(0, 64)} where events were asked for. Does \`url\` name a rubato server, with its base path?`;
      return { kind: "fatal", error: new RubatoError("protocol", message) };
    }
    if (response.body === null || typeof response.body?.getReader !== "function") {
      return {
        kind: "unopened",
        error: new RubatoError("protocol", "This fetch cannot read a response while it comes."),
      };
    }
    stopConnect();
    if (over) {
      letGo(response.body);
      return { kind: "over" };
    }
    silence = new Silence({
      clock,
      heartbeatMs,
      onDead() {
        end({ kind: "cut", error: new RubatoError("disconnected", "The server fell silent.") });
      },
    });
    if (gate !== undefined) silence.hold();
    events.onOpen();
    const reader = response.body.getReader();
    cancel = () => {
      letGo(reader);
    };
    return read(reader);
  }

  async function read(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<ConnectionEnd> {
    const utf8 = new TextDecoder();
    let frames: string[] = [];
    let reason: string | undefined;
    let beats = 0;
    const parser = createParser({
      maxBufferSize: MAX_FRAME,
      onEvent({ data }) {
        frames.push(data);
      },
      onComment(comment) {
        beats++;
        reason = /^\s*end (\w+)/.exec(comment)?.[1] ?? reason;
      },
      onError(error) {
        if (error.type === "max-buffer-size-exceeded")
          throw new RubatoError("protocol", "The server sent a frame without end.");
      },
    });
    for (;;) {
      if (gate !== undefined) await gate;
      if (over) return { kind: "over" };
      const { done, value } = await reader.read();
      if (over) return { kind: "over" };
      if (done) return endOf(reason);
      silence?.alive();
      parser.feed(utf8.decode(value, { stream: true }));
      const batch: Event[] = [];
      try {
        for (const frame of frames) batch.push(eventOf(parseJson(frame)));
      } finally {
        frames = [];
        // What came whole before it is good.
        if (batch.length > 0) events.onEvents(batch);
      }
      if (beats > 0 && !over) events.onBeat();
      beats = 0;
    }
  }

  connect().then(end, (thrown: unknown) => {
    end({ kind: "cut", error: networkError(thrown, secrets) });
  });

  return {
    pause() {
      if (gate !== undefined || over) return;
      silence?.hold();
      gate = new Promise((resolve) => {
        goOn = resolve;
      });
    },
    resume() {
      if (gate === undefined || over) return;
      silence?.goOn();
      gate = undefined;
      goOn?.();
    },
    close,
  };
}

/** Also of a fetch that does not heed its signal. */
function letGo(body: Pick<ReadableStream, "cancel">): void {
  body.cancel().then(
    () => {},
    () => {},
  );
}

/** What the server said before it ended the stream. */
function endOf(reason: string | undefined): ConnectionEnd {
  return reason === undefined
    ? { kind: "cut", error: new RubatoError("disconnected", "The line broke.") }
    : endFor(reason);
}

export function endFor(reason: string): ConnectionEnd {
  switch (reason) {
    case "cancelled":
      return { kind: "over" };
    case "superseded":
      return {
        kind: "fatal",
        error: new RubatoError("superseded", "A newer stream of the same client reads this run. This one was ended."),
      };
    case "max_connection":
      return { kind: "cut", error: ended(reason), orderly: true, atOnce: true };
    case "log":
      return { kind: "cut", error: ended(reason) };
    default:
      return { kind: "cut", error: ended("shutdown"), orderly: true };
  }
}

function ended(reason: string): RubatoError {
  return new RubatoError("disconnected", `The server ended the stream (${reason}).`);
}
