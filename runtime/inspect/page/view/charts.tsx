import type { AgentState } from "../../../../machines/state.ts";
import { agentMachine } from "../../../../machines/agent.ts";
import { toolCallMachine } from "../../../../machines/tool-call.ts";
import { AGENT_LAYOUT, TOOL_CALL_LAYOUT } from "../../chart-layout.ts";
import { labelsOf } from "../../chart-drawing.ts";
import { statusAt } from "../model/why.ts";
import { Chart } from "./chart.tsx";
import { Definition } from "./definition.tsx";
import type { Session } from "./session.ts";

const AGENT_LABELS = labelsOf(agentMachine);
const CALL_LABELS = labelsOf(toolCallMachine);
/** More calls than these are counted, not drawn. */
const MOST_CALLS = 4;

/** The agent's chart at the moment, and beside it the chart of each call in flight. */
export function Charts({ session, state, before }: { session: Session; state: AgentState; before: AgentState }) {
  const { recording } = session.main;
  const entry = recording.entryAt(session.seq);
  const known = statusAt(recording, session.seq) !== "unknown";
  const last = entry === undefined || !known ? undefined : { from: before.value, to: state.value, event: entry.type };
  const calls = !known
    ? []
    : state.core.calls.filter(({ outcome, phase }) => outcome === undefined && phase !== "dropped");
  const { picked } = session;
  return (
    <section class="charts panel" aria-label="Statechart">
      <div class="chart-box">
        <p class="last">
          {known ? null : "No state is known here."}
          {last === undefined ? null : (
            <>
              <b>{last.event}</b> {last.from === last.to ? `stays in ${last.to}` : `${last.from} → ${last.to}`}
            </>
          )}
        </p>
        <Chart
          name="agent"
          layout={AGENT_LAYOUT}
          labels={AGENT_LABELS}
          active={known ? state.value : ""}
          last={last}
          picked={picked?.kind === "state" ? picked.name : undefined}
          onPick={(name) => {
            session.picked = picked?.name === name ? undefined : { kind: "state", name };
            session.changed();
          }}
        />
      </div>
      {picked === undefined ? null : <Definition session={session} picked={picked} />}
      {calls.length === 0 || picked !== undefined ? null : (
        <div class="calls-in-flight">
          {calls.slice(0, MOST_CALLS).map(({ callId, name, phase }) => {
            const old = before.core.calls.find((call) => call.callId === callId)?.phase ?? phase;
            return (
              <figure key={callId}>
                <figcaption>
                  <b>{name}</b> {callId} <span class="dim">{phase}</span>
                </figcaption>
                <Chart
                  name={`call-${callId.replaceAll(/\W/g, "_")}`}
                  layout={TOOL_CALL_LAYOUT}
                  labels={CALL_LABELS}
                  active={phase}
                  last={{ from: old, to: phase, event: entry?.type ?? "" }}
                />
              </figure>
            );
          })}
          {calls.length > MOST_CALLS ? <p class="dim">and {calls.length - MOST_CALLS} more</p> : null}
        </div>
      )}
    </section>
  );
}
