import { STOPPED } from "../lazy-signal.ts";
import type { BodyReader } from "./openai-client.ts";
import { sseParser } from "./sse.ts";
import { isRecord } from "../is-record.ts";
import { withoutStacks } from "./without-stacks.ts";

/** The frames of one streamed answer, as many at a time as have arrived. Throws for a frame that is no JSON or that reports an error. */
export type Frames = AsyncIterable<readonly unknown[]>;

/**
 * Reads the body of an answer. The SDK's own stream gives the same frames one by one, through three generators and with a copy of everything
 * that has arrived for each of them, which is most of what a fast answer costs.
 */
export async function* bodyFrames(reader: BodyReader): AsyncGenerator<readonly unknown[], void, undefined> {
  const parser = sseParser();
  let over = false;
  let complete = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      over = done;
      if (done) return;
      // The connection is read to its end also after the last frame: the next request can use it then.
      if (value === undefined || complete) continue;
      const frames: unknown[] = [];
      let bad: { readonly thrown: unknown } | undefined;
      for (const data of parser.push(value)) {
        complete = data.startsWith("[DONE]");
        if (complete) break;
        try {
          frames.push(frameOf(data));
        } catch (thrown) {
          bad = { thrown };
          break;
        }
      }
      if (frames.length > 0) yield frames;
      // Only now: what came before the bad frame counts.
      if (bad !== undefined) throw bad.thrown;
    }
  } finally {
    if (!over) closeBody(reader);
  }
}

/** The frames of a stream that takes them apart itself. */
export async function* streamFrames(
  stream: AsyncIterable<unknown>,
): AsyncGenerator<readonly unknown[], void, undefined> {
  for await (const frame of stream) yield [frame];
}

/** Closes the connection at once and ends the reading quietly. Cheaper than an abort, which goes through every signal of the request. */
export function closeBody(reader: BodyReader): void {
  withoutStacks(() => {
    // It rejects where the connection broke before, which the reading has seen.
    reader.cancel(STOPPED).then(undefined, () => {});
  });
}

function frameOf(data: string): unknown {
  const frame: unknown = JSON.parse(data);
  if (isRecord(frame) && frame["error"]) {
    // The form that the SDK's own stream throws it in.
    throw Object.assign(new Error(JSON.stringify(frame["error"])), { error: frame["error"] });
  }
  return frame;
}
