import { agentMachine } from "../../../../machines/agent.ts";
import { eventSchema } from "../../../../machines/events.ts";
import { definitionsOf, isWithin, type BranchDefinition } from "../../chart-drawing.ts";
import type { Session } from "./session.ts";

const STATES = definitionsOf(agentMachine);

/** What the machine says about a state or an event: its branches in the order in which they are asked. */
export function Definition({ session, picked }: { session: Session; picked: NonNullable<Session["picked"]> }) {
  return (
    <div class="definition" role="region" aria-label={`Definition of ${picked.name}`}>
      <button
        type="button"
        class="close"
        aria-label="Close the definition"
        onClick={() => {
          session.picked = undefined;
          session.changed();
        }}
      >
        ×
      </button>
      {picked.kind === "state" ? <StateOf path={picked.name} /> : <EventOf type={picked.name} />}
    </div>
  );
}

function StateOf({ path }: { path: string }) {
  const state = STATES.get(path);
  if (state === undefined) return <p>The chart has no state “{path}”.</p>;
  const outer = [...STATES.values()].filter((other) => other.path !== path && isWithin(path, other.path));
  return (
    <>
      <h3>{path}</h3>
      <p>{state.description}</p>
      <Branches branches={state.branches} />
      {outer.map(({ path: around, branches }) => (
        <div key={around}>
          <h4>and as part of {around}</h4>
          <Branches branches={branches} />
        </div>
      ))}
      {state.kind === "final" ? <p class="dim">Final: nothing leaves it.</p> : null}
    </>
  );
}

function EventOf({ type }: { type: string }) {
  const schema = eventSchema.options.find((option) => option.shape.type.value === type);
  const shape = schema?.shape.data.shape ?? {};
  const states = [...STATES.values()].flatMap(({ path, branches }) => {
    const own = branches.filter(({ event }) => event === type);
    return own.length === 0 ? [] : [{ path, own }];
  });
  return (
    <>
      <h3>{type}</h3>
      <p class="dim">
        {schema === undefined ? "This version does not know such events." : `Carries ${Object.keys(shape).join(", ")}.`}
      </p>
      {states.length === 0 ? <p>It does not move the chart.</p> : null}
      {states.map(({ path, own }) => (
        <div key={path}>
          <h4>in {path}</h4>
          <Branches branches={own} />
        </div>
      ))}
    </>
  );
}

function Branches({ branches }: { branches: readonly BranchDefinition[] }) {
  return (
    <ul class="branches">
      {branches.map(({ event, guard, target, actions }, index) => (
        <li key={`${event} ${index}`}>
          <code>{event}</code>
          {guard === undefined ? null : <code class="guard">[{guard}]</code>}
          <span> → {target ?? "stays"}</span>
          {actions.length === 0 ? null : <span class="dim"> / {actions.join(", ")}</span>}
        </li>
      ))}
    </ul>
  );
}
