import { useEffect, useRef, useState } from "preact/hooks";
import { initialState } from "../../../../machines/state.ts";
import { ActPanel } from "./act-panel.tsx";
import { Branches } from "./branches.tsx";
import { Charts } from "./charts.tsx";
import { EventList } from "./event-list.tsx";
import { EventPanel, Why } from "./event-panel.tsx";
import { Header } from "./header.tsx";
import { Kept } from "./kept.tsx";
import { KEYS } from "./keys.ts";
import type { Opener } from "./opener.ts";
import type { Player } from "./player.ts";
import type { Session, Tab } from "./session.ts";
import { CallsPanel, MessagesPanel, RawPanel, StatePanel } from "./state-panel.tsx";
import { Timeline } from "./timeline.tsx";
import { Transport } from "./transport.tsx";

interface Props {
  readonly session: Session;
  readonly player: Player;
  readonly opener: Opener;
}

const TABS: readonly (readonly [tab: Tab, name: string])[] = [
  ["event", "Event"],
  ["state", "State"],
  ["messages", "Messages"],
  ["calls", "Calls"],
  ["act", "Act"],
  ["raw", "Raw"],
];

export function App({ session, player, opener }: Props) {
  const [, draw] = useState(0);
  useEffect(() => session.subscribe(() => draw((count) => count + 1)), [session]);
  const { recording } = session.main;
  const entry = recording.entryAt(session.seq);
  const before = entry === undefined || entry.seq <= 1 ? initialState() : recording.stateAt(entry.seq - 1);
  const state = recording.stateAt(session.seq);
  const { other, tab } = session;
  const pick = (chosen: Tab) => () => {
    session.tab = chosen;
    session.changed();
  };
  return (
    <div class={`page${other === undefined ? "" : " comparing"}`}>
      <Header session={session} opener={opener} />
      <Notices session={session} />
      <Why session={session} />
      <main>
        <EventList session={session} />
        {other === undefined ? (
          <Charts session={session} state={state} before={before} />
        ) : (
          <Branches session={session} other={other} onClose={() => opener.closeBeside()} />
        )}
        <section class="inspector panel" aria-label="Inspector">
          <div class="tabs" role="tablist">
            {TABS.map(([name, label]) => (
              <button key={name} type="button" role="tab" aria-selected={tab === name} onClick={pick(name)}>
                {label}
                {name === "act" && recording.latest.pendingApprovals.length > 0 && session.origin === "run" ? (
                  <span class="dot" title="A call waits for you" />
                ) : null}
              </button>
            ))}
          </div>
          <div class="tab-body" role="tabpanel" aria-label={tab} tabIndex={0}>
            {tab === "event" ? <EventPanel session={session} /> : null}
            {tab === "state" ? <StatePanel state={state} /> : null}
            {tab === "messages" ? <MessagesPanel state={state} /> : null}
            {tab === "calls" ? <CallsPanel state={state} /> : null}
            {tab === "raw" ? <RawPanel state={state} /> : null}
            {/* Hidden and not left out: what is typed there stays. */}
            <div hidden={tab !== "act"}>
              <ActPanel
                key={session.origin === "run" ? session.title : ""}
                session={session}
                now={recording.latest}
                onFork={(runId) => {
                  if (session.connection !== undefined) opener.openBeside(session.connection, runId);
                }}
              />
            </div>
          </div>
        </section>
      </main>
      <footer class="bottom">
        <Transport session={session} player={player} />
        <div class="lanes">
          <Timeline session={session} side={session.main} leads />
        </div>
      </footer>
      {session.help ? <Help session={session} /> : null}
    </div>
  );
}

/** What is loading, and what is wrong. */
function Notices({ session }: { session: Session }) {
  const { loading, notice, main } = session;
  return (
    <div class="notices" aria-live="polite">
      {session.asksToken === undefined ? null : <AskToken {...session.asksToken} />}
      {loading === undefined ? null : (
        <p class="notice">
          Loading {loading.what}: {loading.side.recording.dropped + loading.side.recording.length} events
          {loading.part === undefined ? null : `, ${Math.round(loading.part * 100)} %`}{" "}
          <button type="button" onClick={loading.stop}>
            Stop here
          </button>
        </p>
      )}
      {session.asking ? <p class="notice">Asking the server for its runs…</p> : null}
      {session.writing === undefined ? null : (
        <p class="notice">
          Writing {session.writing.what}…{" "}
          <button type="button" onClick={session.writing.stop}>
            Stop
          </button>
        </p>
      )}
      {session.other === undefined ? <Kept recording={main.recording} /> : null}
      {main.recording.problem === undefined ? null : <p class="notice bad">{main.recording.problem}</p>}
      {notice === undefined ? null : (
        <p class={`notice ${notice.tone}`}>
          {notice.text}{" "}
          <button
            type="button"
            aria-label="Close the notice"
            onClick={() => {
              session.notice = undefined;
              session.changed();
            }}
          >
            ×
          </button>
        </p>
      )}
    </div>
  );
}

function AskToken({ refused, take }: NonNullable<Session["asksToken"]>) {
  const [token, setToken] = useState("");
  return (
    <form
      class="notice"
      onSubmit={(submit) => {
        submit.preventDefault();
        if (token.trim() !== "") take(token.trim());
      }}
    >
      {refused ? <span class="bad-text">The server does not take the token that it was given. </span> : null}
      <label>
        The server wants its token:{" "}
        <input
          type="password"
          autocomplete="off"
          value={token}
          onInput={(input) => setToken(input.currentTarget.value)}
        />
      </label>{" "}
      <button type="submit">Use it</button>
    </form>
  );
}

function Help({ session }: { session: Session }) {
  const close = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    const { activeElement } = document;
    close.current?.focus();
    return () => {
      if (activeElement instanceof HTMLElement) activeElement.focus();
    };
  }, []);
  return (
    <div class="help" role="dialog" aria-label="Keys">
      <h2>Keys</h2>
      <dl>
        {KEYS.map(([keys, does]) => (
          <>
            <dt>{keys}</dt>
            <dd>{does}</dd>
          </>
        ))}
      </dl>
      <p class="dim">
        On the timeline: drag to move through the run, turn the wheel to zoom, drag with Shift to move along.
      </p>
      <button
        type="button"
        ref={close}
        onClick={() => {
          session.help = false;
          session.changed();
        }}
      >
        Close
      </button>
    </div>
  );
}
