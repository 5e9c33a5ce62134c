import { LONGEST_LINE } from "../model/bounds.ts";
import { JsonLines } from "../model/json-lines.ts";
import type { Session } from "./session.ts";
import type { Side } from "./side.ts";

/** How long lines are taken in before the page may draw and answer, ms. */
const SLICE = 30;
/** How often the page is drawn meanwhile, ms: each drawing delays the rest. */
const DRAWN_EVERY = 500;
/** So many lines, or bytes of memory, are taken in between two looks at the clock. */
const LINES_PER_LOOK = 64;
const WEIGHT_PER_LOOK = 131_072;
const CHUNK = 262_144;

/**
 * Takes lines into a side, in slices, so that the page can be used from its first frame on. Whatever is wrong with the text, what came before it
 * stays. Ends without a word when the session shows something else by then.
 */
export async function feedText(
  session: Session,
  side: Side,
  pieces: AsyncIterable<Piece>,
  what: string,
): Promise<void> {
  const lines = new JsonLines();
  let stopped = false;
  const isShown = (): boolean => session.main === side || session.other === side;
  let began = performance.now();
  // The first lines are shown at once.
  let drawn = 0;
  let taken = 0;
  let weighed = 0;
  const loading = (part: number | undefined): void => {
    session.loading = { what, side, part, stop: () => (stopped = true) };
  };
  loading(0);
  session.changed();
  try {
    for await (const { text, part } of pieces) {
      if (!isShown()) return;
      for (let at = 0; at < text.length || text === ""; at += CHUNK) {
        const { values, broken } = lines.push(text.length <= CHUNK ? text : text.slice(at, at + CHUNK));
        for (const value of values) {
          if (!side.add(value) && side.recording.problem !== undefined) stopped = true;
          if (side.recording.isFull) {
            const { endSeq, length } = side.recording;
            side.recording.trouble(
              `It is larger than the page can hold: its first ${length} events are shown, up to seq ${endSeq}.`,
            );
            stopped = true;
          }
          if (stopped) break;
          if (++taken % LINES_PER_LOOK !== 0 && side.recording.weight - weighed < WEIGHT_PER_LOOK) continue;
          weighed = side.recording.weight;
          if (performance.now() - began < SLICE) continue;
          loading(part);
          if (performance.now() - drawn > DRAWN_EVERY) {
            session.grown();
            drawn = performance.now();
          }
          await nextFrame();
          if (!isShown()) return;
          began = performance.now();
        }
        if (broken !== undefined) {
          side.recording.trouble(`Line ${broken} is no JSON. What came before it is shown.`);
          stopped = true;
        }
        if (lines.openLength > LONGEST_LINE) {
          side.recording.trouble(
            `Line ${lines.openLine} is longer than the page can read (${LONGEST_LINE / 1_048_576} MiB). What came before it is shown.`,
          );
          stopped = true;
        }
        if (stopped || text === "") break;
      }
      if (stopped) break;
    }
    if (!stopped) {
      const end = lines.end();
      if (end === "cut")
        side.recording.trouble("Its last line is cut, as by a writer that was stopped. What came before it is shown.");
      else if (end !== "empty") side.add(end.value);
    } else side.recording.trouble("Loading was stopped here.");
  } catch (error) {
    side.recording.trouble(`It could not be read to its end: ${error instanceof Error ? error.message : "unknown"}.`);
  } finally {
    session.loaded(side);
    if (isShown()) {
      session.grown();
      if (session.main === side) session.missWanted();
    }
    markOnceDrawn("rubato:loaded");
  }
}

/** For whoever measures the page: when the frame after this moment was drawn. */
export function markOnceDrawn(name: string): void {
  requestAnimationFrame(() => {
    setTimeout(() => {
      performance.mark(name);
    }, 0);
  });
}

export interface Piece {
  readonly text: string;
  /** How much of it came, from 0 to 1. */
  readonly part: number | undefined;
}

/** A text as bytes, piece by piece: a large one is never in memory at once. */
export async function* piecesOf(
  body: ReadableStream<Uint8Array> | null,
  size: number,
): AsyncGenerator<Piece, void, undefined> {
  if (body === null) return;
  const reader = body.getReader();
  try {
    const decoder = new TextDecoder();
    let read = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      read += value.byteLength;
      yield { text: decoder.decode(value, { stream: true }), part: size === 0 ? undefined : read / size };
    }
    const rest = decoder.decode();
    if (rest !== "") yield { text: rest, part: 1 };
  } finally {
    // Whoever stops here reads no further.
    await reader.cancel().catch(() => {});
  }
}

/** Texts as they stand in the page, each made when its turn comes. */
export async function* piecesOfTexts(texts: Iterable<string>, count: number): AsyncGenerator<Piece, void, undefined> {
  let read = 0;
  for (const text of texts) yield { text, part: count === 1 ? undefined : ++read / count };
}

export function nextFrame(): Promise<void> {
  // A timer, not a frame: a page in the background gets no frames, and loads all the same.
  return new Promise((resolve) => {
    setTimeout(resolve, 0);
  });
}
