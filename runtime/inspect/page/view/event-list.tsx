import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { contentOf } from "../../../cli/describe-event.ts";
import { headOf } from "../../../cli/head-of.ts";
import { countWhile } from "../model/count-while.ts";
import type { LogEntry } from "../model/log-entry.ts";
import { EVENT_TYPES } from "../../../../machines/events.ts";
import type { Recording } from "../model/recording.ts";
import type { Session } from "./session.ts";

const ROW = 24;
/** Browsers draw nothing beyond some height of an element, the smallest of them 17 million pixels: a longer list is scrolled over faster. */
const TALLEST = 15_000_000;

/** Of a type that this version does not know, in UTF-16 units: a file may name one of megabytes. */
const LONGEST_TYPE = 64;

/** Every line of the log, only those drawn that can be seen. */
export function EventList({ session }: { session: Session }) {
  const box = useRef<HTMLDivElement>(null);
  const view = useRef({ top: 0, height: 480, here: -2, count: -1 });
  const [, redraw] = useState(0);
  const { recording } = session.main;
  const { matches } = session;
  const count = matches?.length ?? recording.length;
  const here = matches === undefined ? session.index : placeIn(matches, session.index);
  const { current } = view;
  // The moment stays in sight, whoever moved it. Computed, not asked of the element: each question would lay the page out once more per frame.
  if (here !== current.here || count !== current.count) {
    const top = here * ROW;
    if (here >= 0 && (top < current.top || top + ROW > current.top + current.height)) {
      current.top = Math.max(0, Math.min(count * ROW - current.height, Math.round(top - current.height / 2)));
    }
    current.here = here;
    current.count = count;
  }
  const { top, height } = current;
  const tall = Math.min(count * ROW, TALLEST);
  /** How many pixels of the list one pixel of the bar is. 1, but for a list that is longer than any element. */
  const perPixel = tall - height < 1 ? 1 : Math.max(1, (count * ROW - height) / (tall - height));
  const scrolled = top / perPixel;
  const first = Math.max(0, Math.floor(top / ROW) - 4);
  const last = Math.min(count, Math.ceil((top + height) / ROW) + 4);
  const rows = Array.from({ length: Math.max(0, last - first) }, (_none, row) => first + row);

  useEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const watcher = new ResizeObserver(() => {
      current.height = element.clientHeight;
      redraw((drawn) => drawn + 1);
    });
    watcher.observe(element);
    return () => {
      watcher.disconnect();
    };
  }, []);
  useLayoutEffect(() => {
    if (box.current !== null) box.current.scrollTop = scrolled;
  }, [scrolled, count]);

  return (
    <section class="events panel" aria-label="Events">
      <Finder session={session} count={count} />
      <div
        ref={box}
        class="rows"
        role="listbox"
        aria-label="Events of the run"
        tabIndex={0}
        onScroll={(scroll) => {
          const { scrollTop } = scroll.currentTarget;
          // Not for what was set here.
          if (Math.abs(scrollTop - scrolled) < 1) return;
          current.top = scrollTop * perPixel;
          redraw((drawn) => drawn + 1);
        }}
      >
        <div class="all-rows" style={{ height: `${tall}px` }}>
          {rows.map((row) => {
            const index = matches === undefined ? row : (matches[row] ?? 0);
            const entry = recording.entries[index];
            if (entry === undefined) return null;
            return (
              <Row
                key={entry.seq}
                entry={entry}
                said={saidBy(recording, index, entry)}
                top={row * ROW - top + scrolled}
                chosen={entry.seq === session.seq}
                onChoose={() => {
                  session.tab = "event";
                  session.goTo(entry.seq);
                }}
              />
            );
          })}
        </div>
        {count === 0 ? (
          <p class="empty">{matches === undefined ? "No events yet." : "No event is like that."}</p>
        ) : null}
      </div>
    </section>
  );
}

interface RowProps {
  readonly entry: LogEntry;
  readonly said: string;
  readonly top: number;
  readonly chosen: boolean;
  readonly onChoose: () => void;
}

function Row({ entry, said, top, chosen, onChoose }: RowProps) {
  return (
    <div
      class={`row ${toneOf(entry)}${chosen ? " chosen" : ""}`}
      role="option"
      aria-selected={chosen}
      style={{ transform: `translateY(${top}px)` }}
      onClick={onChoose}
    >
      <span class="seq">{entry.seq}</span>
      <span class="type">{entry.type.slice(0, LONGEST_TYPE)}</span>
      <span class="said">{said}</span>
    </div>
  );
}

function Finder({ session, count }: { session: Session; count: number }) {
  const { query, main } = session;
  const [type = ""] = query.types;
  const present = EVENT_TYPES.filter((known) => main.lanes.length < 5_000 || known !== "gap");
  return (
    <div class="finder">
      <input
        id="search"
        type="search"
        placeholder="Search ( / )"
        aria-label="Search in events"
        value={query.text}
        onInput={(input) => session.look({ ...query, text: input.currentTarget.value })}
      />
      <select
        aria-label="Type of events"
        value={type}
        onChange={(change) => {
          const chosen = change.currentTarget.value;
          session.look({ ...query, types: new Set(chosen === "" ? [] : chosen === "control" ? CONTROL : [chosen]) });
        }}
      >
        <option value="">all types</option>
        <option value="control" selected={query.types.size > 1}>
          all but tokens
        </option>
        {present.map((known) => (
          <option key={known} value={known}>
            {known}
          </option>
        ))}
      </select>
      <span class="dim count" aria-live="polite">
        {count}
        {session.isSearching ? "…" : ""}
      </span>
    </div>
  );
}

const CONTROL = EVENT_TYPES.filter((type) => type !== "token_stream" && type !== "tool_call_delta");

function placeIn(matches: readonly number[], index: number): number {
  return countWhile(matches, (match) => match <= index) - 1;
}

/** What a line says. Of one that this version does not know, its data as it stands. */
function saidBy(recording: Recording, index: number, entry: LogEntry): string {
  const event = recording.events[index];
  if (event !== undefined) return contentOf(event);
  try {
    return JSON.stringify(headOf(entry.data, 200)).slice(0, 200);
  } catch {
    return "(nested too deeply to be shown)";
  }
}

function toneOf({ type }: LogEntry): string {
  switch (type) {
    case "token_stream":
    case "tool_call_delta":
    case "tool_progress":
      return "hot";
    case "interrupt":
    case "interrupted":
    case "limit":
      return "stop";
    case "error":
    case "failed":
    case "retry":
      return "bad";
    case "done":
      return "good";
    default:
      return "";
  }
}
