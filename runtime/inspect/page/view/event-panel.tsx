import { decisionOf, statusAt, whyHere } from "../model/why.ts";
import { expose } from "../../../cli/exposed.ts";
import { headOf } from "../../../cli/head-of.ts";
import type { LogEntry } from "../model/log-entry.ts";
import type { Session } from "./session.ts";

/** More text than this of one event is cut: a page that shows a megabyte in one place shows nothing. */
export const LONGEST = 20_000;
const LONGEST_WHY = 1_000;
/** Events that one event caused: more are counted. */
const MOST_EFFECTS = 30;

/** The event at the moment: what it says, what caused it, what it caused. */
export function EventPanel({ session }: { session: Session }) {
  const { main, seq } = session;
  const entry = main.recording.entryAt(seq);
  if (entry === undefined) return <p class="empty">Before the first event.</p>;
  const event = main.recording.eventAt(seq);
  const chain = main.causes.chainOf(seq).slice(1);
  const goesOn = main.causes.causeOf(chain.at(-1) ?? seq) !== undefined;
  const { seqs, streamed } = main.causes.effectsOf(seq);
  const decision = event === undefined ? "" : decisionOf(main.recording, event);
  return (
    <div class="detail">
      <h3>
        <button
          type="button"
          class="link"
          title="What the chart does with such events"
          onClick={() => {
            session.picked = { kind: "event", name: entry.type };
            session.changed();
          }}
        >
          {cut(entry.type, LONGEST_WHY)}
        </button>{" "}
        <span class="dim">
          seq {entry.seq}, {timeOf(entry)}, +{Math.round(entry.timestamp - main.recording.startedAt)} ms
        </span>
      </h3>
      {decision === "" ? null : <p class="decision">{decision}</p>}
      <h4>Caused by</h4>
      {chain.length === 0 ? (
        <p class="dim">
          {main.recording.startsLate ? "nothing that is kept here." : "nothing in this run: it came from outside."}
        </p>
      ) : (
        <ol class="causes">
          {chain.map((cause) => (
            <Cause key={cause} session={session} seq={cause} />
          ))}
        </ol>
      )}
      {goesOn ? <p class="dim">and so on: the last of these has a cause of its own.</p> : null}
      <h4>It caused</h4>
      {seqs.length + streamed === 0 ? <p class="dim">nothing, so far.</p> : null}
      <ol class="causes">
        {seqs.slice(0, MOST_EFFECTS).map((effect) => (
          <Cause key={effect} session={session} seq={effect} />
        ))}
      </ol>
      {seqs.length > MOST_EFFECTS ? <p class="dim">and {seqs.length - MOST_EFFECTS} more events</p> : null}
      {streamed > 0 ? <p class="dim">and {streamed} deltas that streamed</p> : null}
      <h4>Its data</h4>
      <pre class="json">{jsonOf(entry.data)}</pre>
    </div>
  );
}

function Cause({ session, seq }: { session: Session; seq: number }) {
  const { recording } = session.main;
  if (seq < recording.firstSeq) return <li class="dim">an earlier event, {seq}</li>;
  const type = recording.entryAt(seq)?.type ?? "event";
  return (
    <li>
      <button type="button" class="link" onClick={() => session.goTo(seq)}>
        {type} <span class="dim">{seq}</span>
      </button>
    </li>
  );
}

/** Why it stands where it stands, at the moment. */
export function Why({ session }: { session: Session }) {
  const { recording } = session.main;
  const { seq } = session;
  return (
    <p class="why">
      <b>{statusAt(recording, seq)}</b> {cut(whyHere(recording, seq, session.line === "open"), LONGEST_WHY)}
    </p>
  );
}

export function cut(text: string, longest = LONGEST): string {
  return text.length <= longest ? text : `${text.slice(0, longest)}\n… ${text.length - longest} characters more`;
}

/** JSON to be read, cut where it is long: what cannot be seen in it stands there as an escape. */
export function jsonOf(value: unknown): string {
  try {
    // No more of it is made than is shown: it is made anew for every moment, and one event may hold megabytes.
    const text = JSON.stringify(headOf(value, LONGEST), undefined, 2) ?? "null";
    const shown = text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}\n… and more`;
    return shown.split("\n").map(expose).join("\n");
  } catch {
    return "(nested too deeply to be shown)";
  }
}

function timeOf({ timestamp }: LogEntry): string {
  const time = new Date(timestamp);
  return Number.isNaN(time.getTime()) ? "no time" : time.toISOString().slice(11, 23);
}
