import { explain } from "../../machines/explain.ts";
import { isHot, type Event } from "../../machines/events.ts";
import { initialState, isAtRest, type AgentState } from "../../machines/state.ts";
import type { EventLog } from "../log/event-log.ts";
import { replay } from "../replay.ts";
import { createConversation } from "./conversation.ts";
import { describeDecision } from "./describe-decision.ts";
import { lineOf } from "./describe-event.ts";
import type { Io } from "./io.ts";
import { createPacer } from "./pacer.ts";
import { createPilot } from "./pilot.ts";
import { bar } from "./progress.ts";
import { createScreen } from "./screen.ts";
import { statusLine } from "./status-line.ts";
import { createTranscript } from "./transcript.ts";
import { fit } from "./wrap.ts";

export interface Played {
  readonly speed: number;
  readonly stepping: boolean;
  /** The last seq to show. */
  readonly until: number;
}

/** A person's pause between two turns is not replayed at its length, ms. */
const MAX_REST_MS = 1_000;
const FRAME_MS = 33;
const PLAIN_WIDTH = 100;

/** Plays a run in the terminal, or as plain lines where there is none. Answers the state that it ended in. */
export async function play(io: Io, log: EventLog, runId: string, wanted: Played): Promise<AgentState> {
  const { theme, columns } = io;
  const transcript = createTranscript(theme);
  const conversation = createConversation(transcript);
  let state = initialState();
  let shown: Event | undefined;
  const alone = columns === undefined || !io.keyboard;
  const terminal = alone
    ? undefined
    : io.openTerminal({
        onKey: (bytes) => {
          pilot.key(bytes);
        },
        onPaste() {},
        onResize() {
          pacer.request();
        },
        onEnd: () => {
          pilot.key("q");
        },
      });
  const screen = createScreen((text) => {
    terminal?.write(text);
  });
  const pacer = createPacer(paint, FRAME_MS, FRAME_MS);
  const pilot = createPilot({
    ...wanted,
    alone,
    io,
    onChange: () => {
      pacer.request();
    },
  });

  function paint(): void {
    if (terminal === undefined) return;
    const width = terminal.columns;
    const { finished, open } = transcript.take(width);
    const { progress, turn } = conversation;
    const facts = { elapsedMs: 0, progress, retryFor: turn.retryFor, now: shown?.timestamp ?? 0 };
    const rows = [...open, "", statusLine(state, facts, theme, width - 1)];
    if (shown !== undefined) rows.push(theme.dim(fit(lineOf(shown), width - 1)));
    rows.push(theme.dim(fit(hint(), width - 1)));
    const seen = rows.slice(-Math.max(1, terminal.rows - 1));
    screen.paint(finished, { rows: seen, cursor: { row: seen.length - 1, column: 0 } });
  }

  function hint(): string {
    const place = bar(`seq ${state.seq}/${wanted.until}`, state.seq, wanted.until);
    return pilot.stepping
      ? `${place}   space/→ event   Enter step   p plays   q ends`
      : `${place}   space stops   Enter next step   q ends`;
  }

  async function flush(): Promise<void> {
    if (terminal !== undefined) return;
    for (const row of transcript.take(columns ?? PLAIN_WIDTH).finished) await io.out.write(`${row.trimEnd()}\n`);
  }

  let before: number | undefined;
  pacer.request();
  try {
    for await (const next of replay(log, runId, { until: wanted.until })) {
      const { event } = next;
      const gap = before === undefined ? 0 : Math.max(0, event.timestamp - before);
      if (!(await pilot.allow(event, isAtRest(state) ? Math.min(gap, MAX_REST_MS) : gap))) break;
      before = event.timestamp;
      const decision = isHot(event) ? undefined : describeDecision(explain(state, event));
      conversation.follow(event);
      if (decision !== undefined) transcript.add("chart", `${event.seq} ${decision}`);
      ({ state } = next);
      shown = event;
      pacer.request();
      await flush();
      if (io.out.closed) break;
    }
    transcript.close();
    await flush();
    return state;
  } finally {
    pacer.stop();
    if (terminal !== undefined) {
      const { finished, open } = transcript.take(terminal.columns);
      screen.paint([...finished, ...open], { rows: [""], cursor: { row: 0, column: 0 } });
      screen.clear();
      terminal.stop();
    }
  }
}
