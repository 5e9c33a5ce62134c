import { useEffect, useRef } from "preact/hooks";
import { colorsOf } from "./colors.ts";
import { cursorX, GUTTER, heightFor, lanesFor, paint, scaleOf } from "./painter.ts";
import type { Session } from "./session.ts";
import type { Side } from "./side.ts";

interface Props {
  readonly session: Session;
  readonly side: Side;
  /** The moment is moved by dragging on it. */
  readonly leads: boolean;
}

/** The run from its first event to its last, a lane for everything that takes time. Dragging moves the moment, the wheel zooms, Shift drags along. */
export function Timeline({ session, side, leads }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const cursor = useRef<HTMLDivElement>(null);
  const size = useRef({ width: 0 });
  const drawn = useRef<readonly unknown[]>([]);
  const drag = useRef<{ x: number; pans: boolean } | undefined>(undefined);
  const height = heightFor(side);
  const { from, to } = session.window ?? { from: 0, to: Math.max(1, side.recording.length) };

  const draw = (): void => {
    const element = canvas.current;
    const context = element?.getContext("2d");
    if (element === null || context === null || context === undefined) return;
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const width = size.current.width || element.clientWidth;
    size.current.width = width;
    const { axis } = session;
    const matches = leads ? session.matches : undefined;
    const colors = colorsOf();
    const x = cursorX(side.recording.indexOf(session.seq), { side, width, axis, from, to });
    if (cursor.current !== null) {
      cursor.current.style.transform = `translateX(${Math.round(x ?? 0) - 1}px)`;
      cursor.current.hidden = x === undefined;
    }
    // A moment that moves changes nothing of what lies below it.
    const now = [
      side,
      side.lanes.length,
      side.recording.dropped,
      width,
      height,
      ratio,
      axis,
      from,
      to,
      matches,
      matches?.length,
      colors,
    ];
    if (now.every((value, index) => value === drawn.current[index])) return;
    drawn.current = now;
    if (element.width !== Math.round(width * ratio) || element.height !== Math.round(height * ratio)) {
      element.width = Math.round(width * ratio);
      element.height = Math.round(height * ratio);
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    paint(context, { side, width, axis, from, to, matches, colors });
  };
  // After every render: what is drawn is what the session says.
  useEffect(draw);
  useEffect(() => {
    const element = canvas.current;
    if (element === null) return undefined;
    const watcher = new ResizeObserver(() => {
      size.current.width = element.clientWidth;
      session.changed();
    });
    watcher.observe(element);
    const onWheel = (turn: WheelEvent): void => {
      const { width } = size.current;
      const part = session.window ?? { from: 0, to: Math.max(1, side.recording.length) };
      if (Math.abs(turn.deltaX) > Math.abs(turn.deltaY)) {
        session.pan((turn.deltaX / Math.max(1, width - GUTTER)) * (part.to - part.from));
      } else {
        const scale = scaleOf({ side, width, axis: session.axis, ...part });
        session.zoom(turn.deltaY > 0 ? 1.25 : 0.8, scale.indexAt(turn.offsetX));
      }
      turn.preventDefault();
    };
    element.addEventListener("wheel", onWheel, { passive: false });
    return () => {
      watcher.disconnect();
      element.removeEventListener("wheel", onWheel);
    };
  }, [side]);

  const onDown = (press: PointerEvent): void => {
    if (!leads || press.button !== 0) return;
    canvas.current?.setPointerCapture(press.pointerId);
    drag.current = { x: press.offsetX, pans: press.shiftKey };
    onMove(press);
  };
  const onMove = (move: PointerEvent): void => {
    const { current } = drag;
    if (current === undefined) return;
    const { width } = size.current;
    if (current.pans) {
      session.pan(((current.x - move.offsetX) / Math.max(1, width - GUTTER)) * (to - from));
      current.x = move.offsetX;
      return;
    }
    session.goToIndex(scaleOf({ side, width, axis: session.axis, from, to }).indexAt(move.offsetX));
  };
  const onUp = (): void => {
    drag.current = undefined;
  };
  return (
    <div class="timeline-box">
      <canvas
        ref={canvas}
        class="timeline"
        style={{ height: `${height}px` }}
        role="img"
        aria-label={`Timeline of ${side.recording.length} events, ${lanesFor(side)
          .shown.map(({ label }) => label)
          .join(", ")}`}
        onPointerDown={onDown}
        onPointerMove={onMove}
        onPointerUp={onUp}
        onPointerCancel={onUp}
      />
      <div ref={cursor} class="cursor" />
    </div>
  );
}
