import { countWhile } from "../model/count-while.ts";
import { firstLanes, type Lane, type Span, type Tone } from "../model/lanes.ts";
import type { LogEntry } from "../model/log-entry.ts";
import type { Axis } from "./session.ts";
import type { Side } from "./side.ts";

/** Pixels. */
export const GUTTER = 92;
export const RULER = 20;
export const LANE = 20;
const FOOT = 16;
/** Of each kind: a canvas of thousands of rows is drawn by no browser, and looked at by nobody. */
const MOST_LANES = 24;
/** From this width of one line on, each token is drawn; from the next on with its text. */
const TOKEN_TICKS = 3;
const TOKEN_TEXT = 34;
/** Narrower spans have no round corners: nobody sees them, and a path costs many times what a rectangle does. */
const ROUND_FROM = 7;

export interface Colors {
  readonly text: string;
  readonly dim: string;
  readonly line: string;
  readonly band: string;
  readonly match: string;
  readonly tones: Readonly<Record<Tone, string>>;
  readonly kinds: Readonly<Record<Lane["kind"], string>>;
}

export interface Scene {
  readonly side: Side;
  readonly width: number;
  readonly axis: Axis;
  /** Indexes of lines, the second exclusive. */
  readonly from: number;
  readonly to: number;
  readonly matches: readonly number[] | undefined;
  readonly colors: Colors;
}

export function heightFor(side: Side): number {
  const { shown, hidden } = lanesFor(side);
  return RULER + Math.max(1, shown.length + (hidden > 0 ? 1 : 0)) * LANE + FOOT;
}

/** The lanes that have a row, and how many have none. */
export function lanesFor({ lanes }: Side): ReturnType<typeof firstLanes> {
  return firstLanes(lanes.lanes, MOST_LANES);
}

/** Where the moment stands, in pixels; undefined where that is not seen. */
export function cursorX(
  cursor: number,
  scene: Pick<Scene, "side" | "width" | "axis" | "from" | "to">,
): number | undefined {
  if (cursor < Math.floor(scene.from) || cursor > scene.to) return undefined;
  const scale = scaleOf(scene);
  return scale.x(cursor) + Math.min(scale.perLine / 2, 8);
}

/** Where a line stands, in pixels, and which line stands at a pixel. */
export interface Scale {
  x(index: number): number;
  indexAt(x: number): number;
  /** Pixels per line, where lines are evenly spaced. */
  readonly perLine: number;
}

export function scaleOf({
  side,
  width,
  axis,
  from,
  to,
}: Pick<Scene, "side" | "width" | "axis" | "from" | "to">): Scale {
  const space = Math.max(1, width - GUTTER - 8);
  const { times } = side.lanes;
  const last = Math.max(from + 1, to);
  const start = times[Math.floor(from)] ?? 0;
  const end = times[Math.min(times.length - 1, Math.ceil(last) - 1)] ?? start;
  if (axis === "time" && end > start) {
    const perMs = space / (end - start);
    return {
      x: (index) => GUTTER + ((times[Math.min(times.length - 1, Math.max(0, index))] ?? start) - start) * perMs,
      indexAt(x) {
        const time = start + (x - GUTTER) / perMs;
        return Math.max(0, lowerBound(times, time + 1e-6) - 1);
      },
      perLine: 0,
    };
  }
  const perLine = space / (last - from);
  return {
    x: (index) => GUTTER + (index - from) * perLine,
    indexAt: (x) => Math.floor(from + (x - GUTTER) / perLine),
    perLine,
  };
}

/** Draws lanes, turns, steps and tokens; the moment stands on top of it. What is narrower than a pixel is drawn once per pixel, so a long run costs no more. */
export function paint(context: CanvasRenderingContext2D, scene: Scene): void {
  const { side, width, colors } = scene;
  const { shown, hidden } = lanesFor(side);
  const height = heightFor(side);
  const scale = scaleOf(scene);
  context.clearRect(0, 0, width, height);
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "middle";
  context.save();
  context.beginPath();
  context.rect(GUTTER, 0, width - GUTTER, height);
  context.clip();
  paintTurns(context, scene, scale, height);
  for (const [row, lane] of shown.entries()) paintLane(context, scene, scale, lane, RULER + row * LANE);
  if (scale.perLine >= TOKEN_TICKS) paintLines(context, scene, scale);
  paintMarks(context, scene, scale, height);
  context.restore();
  context.fillStyle = colors.text;
  for (const [row, lane] of shown.entries()) {
    context.fillText(fit(context, lane.label, GUTTER - 14), 8, RULER + row * LANE + LANE / 2);
  }
  if (hidden > 0) {
    context.fillStyle = colors.dim;
    context.fillText(`and ${hidden} more lanes`, 8, RULER + shown.length * LANE + LANE / 2);
  }
}

function paintTurns(context: CanvasRenderingContext2D, scene: Scene, scale: Scale, height: number): void {
  const { side, colors, width, from, to } = scene;
  const { turns, steps, length } = side.lanes;
  for (const [place, { index, number }] of turns.entries()) {
    const end = turns[place + 1]?.index ?? length;
    if (end < from || index > to) continue;
    const x = Math.max(GUTTER, scale.x(index));
    const right = Math.min(width, scale.x(end));
    if (number % 2 === 0) {
      context.fillStyle = colors.band;
      context.fillRect(x, 0, right - x, height);
    }
    context.fillStyle = colors.dim;
    if (right - x > 46) context.fillText(`turn ${number}`, x + 3, height - FOOT / 2);
  }
  context.fillStyle = colors.line;
  let free = GUTTER;
  for (let at = lowerBoundOf(steps, from); at < steps.length; at++) {
    const step = steps[at];
    if (step === undefined || step.index > to) break;
    const x = scale.x(step.index);
    if (x < free) continue;
    context.fillStyle = colors.line;
    context.fillRect(Math.round(x), 0, 1, height - FOOT);
    context.fillStyle = colors.dim;
    const label = `step ${step.number}`;
    const wide = context.measureText(label).width;
    if (x + 3 + wide <= width) context.fillText(label, x + 3, RULER / 2);
    free = x + wide + 10;
  }
}

function paintLane(context: CanvasRenderingContext2D, scene: Scene, scale: Scale, lane: Lane, top: number): void {
  const { colors, from, to, side } = scene;
  const open = side.lanes.length;
  context.fillStyle = colors.line;
  context.fillRect(GUTTER, top + LANE - 1, scene.width, 1);
  let drawn = -1;
  for (let at = firstSpan(lane.spans, from); at < lane.spans.length; at++) {
    const span = lane.spans[at];
    if (span === undefined || span.from > to) break;
    const left = Math.max(GUTTER - 2, scale.x(span.from));
    const right = Math.max(
      left + 1.5,
      scale.x(span.to ?? open) + (span.to === undefined ? 0 : Math.min(scale.perLine, 6)),
    );
    if (right <= drawn) continue;
    drawn = Math.ceil(right);
    context.fillStyle =
      span.tone === "plain" || span.tone === "good" ? colors.kinds[lane.kind] : colors.tones[span.tone];
    context.globalAlpha = span.to === undefined ? 0.55 : 0.9;
    if (right - left < ROUND_FROM) {
      context.fillRect(left, top + 3, right - left, LANE - 7);
    } else {
      context.beginPath();
      context.roundRect(left, top + 3, right - left, LANE - 7, 3);
      context.fill();
    }
    context.globalAlpha = 1;
    if (right - left > 30 && scale.perLine < TOKEN_TEXT) {
      // What is open is pale in a light page: white could not be read on it.
      context.fillStyle = span.to === undefined ? colors.text : "#fff";
      context.fillText(fit(context, span.label, right - left - 8), left + 4, top + LANE / 2);
    }
  }
}

/** Every line by itself, once there is room for that: tokens with their text. */
function paintLines(context: CanvasRenderingContext2D, scene: Scene, scale: Scale): void {
  const { side, from, to, colors } = scene;
  const { entries } = side.recording;
  const row = lanesFor(side).shown.findIndex(({ kind }) => kind === "model");
  const top = RULER + Math.max(0, row) * LANE;
  for (let index = Math.max(0, Math.floor(from)); index < Math.min(entries.length, to + 1); index++) {
    const entry = entries[index];
    if (entry === undefined) continue;
    const x = scale.x(index);
    context.fillStyle = isStreamed(entry) ? colors.dim : colors.text;
    context.fillRect(Math.round(x), RULER - 4, 1, 4);
    if (scale.perLine < TOKEN_TEXT) continue;
    const said = saidBy(entry);
    if (said === "") continue;
    context.fillStyle = entry.type === "token_stream" ? "#fff" : colors.text;
    if (entry.type === "token_stream") context.fillText(fit(context, said, scale.perLine - 4), x + 3, top + LANE / 2);
  }
}

function paintMarks(context: CanvasRenderingContext2D, scene: Scene, scale: Scale, height: number): void {
  const { side, matches, colors, from, to } = scene;
  const { interrupts, ends } = side.lanes;
  mark(context, interrupts, scale, from, to, colors.tones.stop, RULER - 3, 3);
  mark(context, ends, scale, from, to, colors.dim, height - FOOT, 4);
  if (matches !== undefined) mark(context, matches, scale, from, to, colors.match, height - 5, 5);
}

function mark(
  context: CanvasRenderingContext2D,
  indexes: readonly number[],
  scale: Scale,
  from: number,
  to: number,
  color: string,
  top: number,
  tall: number,
): void {
  context.fillStyle = color;
  let drawn = -1;
  for (let at = lowerBound(indexes, from); at < indexes.length; at++) {
    const index = indexes[at];
    if (index === undefined || index > to) break;
    const x = Math.round(scale.x(index));
    if (x === drawn) continue;
    drawn = x;
    context.fillRect(x - 1, top, 2, tall);
  }
}

function isStreamed({ type }: LogEntry): boolean {
  return type === "token_stream" || type === "tool_call_delta" || type === "tool_progress";
}

function saidBy({ type, data }: LogEntry): string {
  if (type !== "token_stream") return "";
  return typeof data["text"] === "string" ? data["text"].slice(0, 40).replaceAll(/\s+/g, " ") : "";
}

/** A text cut to a width. */
function fit(context: CanvasRenderingContext2D, text: string, width: number): string {
  if (width < 8) return "";
  if (context.measureText(text).width <= width) return text;
  let length = Math.max(1, Math.floor((text.length * width) / context.measureText(text).width) - 1);
  while (length > 1 && context.measureText(`${text.slice(0, length)}…`).width > width) length--;
  return `${text.slice(0, length)}…`;
}

/** Spans of a lane follow one another: the first that ends at or behind an index. */
function firstSpan(spans: readonly Span[], index: number): number {
  return countWhile(spans, ({ to }) => to !== undefined && to < index);
}

function lowerBoundOf(marks: readonly { readonly index: number }[], index: number): number {
  return countWhile(marks, (mark) => mark.index < index);
}

function lowerBound(values: readonly number[], value: number): number {
  return countWhile(values, (one) => one < value);
}
