import { sharedUpTo } from "../model/part.ts";
import { statusAt, whyHere } from "../model/why.ts";
import type { Session } from "./session.ts";
import type { Side } from "./side.ts";
import { Kept } from "./kept.tsx";
import { MessagesPanel } from "./state-panel.tsx";
import { Timeline } from "./timeline.tsx";

interface Props {
  readonly session: Session;
  readonly other: Side;
  readonly onClose: () => void;
}

/** Two branches side by side at the same seq, with where they part. */
export function Branches({ session, other, onClose }: Props) {
  const { main, seq } = session;
  const shared = sharedUpTo(main.recording, other.recording);
  const there = Math.min(seq, other.recording.endSeq);
  return (
    <section class="branches-panel panel" aria-label="Two branches">
      <header>
        <p>
          They are the same up to{" "}
          <button type="button" class="link" onClick={() => session.goTo(shared)}>
            seq {shared}
          </button>{" "}
          and part there.
        </p>
        <button type="button" onClick={onClose}>
          Close
        </button>
      </header>
      <div class="two">
        <BranchOf side={main} seq={Math.min(seq, main.recording.endSeq)} />
        <BranchOf side={other} seq={there} />
      </div>
      <Timeline session={session} side={other} leads={false} />
    </section>
  );
}

function BranchOf({ side, seq }: { side: Side; seq: number }) {
  const { recording, title, trouble, line } = side;
  const state = recording.stateAt(seq);
  return (
    <article class="branch">
      <h3>{recording.runId || title}</h3>
      {recording.problem === undefined ? null : <p class="notice bad">{recording.problem}</p>}
      {trouble === undefined ? null : <p class="notice bad">{trouble}</p>}
      <Kept recording={recording} />
      <p class="why">
        <b>{statusAt(recording, seq)}</b> at seq {seq} of {recording.endSeq}. {whyHere(recording, seq, line === "open")}
      </p>
      <MessagesPanel state={state} />
    </article>
  );
}
