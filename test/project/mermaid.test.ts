import { describe, expect, it } from "vitest";
import { createMachine, type AnyStateMachine, type AnyStateNode } from "xstate";
import { agentMachine, toMermaid, toolCallMachine } from "rubato/machines";

interface Drawn {
  /** The composite of each state that is named, by the composite that names it last: that is where Mermaid puts it. */
  readonly places: Map<string, string>;
  readonly arrows: { readonly from: string; readonly to: string; readonly label: string }[];
}

/** Reads the part of Mermaid's syntax that the generator may use, and throws for every other line. */
function read(text: string): Drawn {
  const [head, ...lines] = text.trimEnd().split("\n");
  expect(head).toBe("stateDiagram-v2");
  const places = new Map<string, string>();
  const arrows: Drawn["arrows"] = [];
  const open: string[] = [];
  for (const line of lines) {
    const [, from, to, label = ""] = /^ *(\[\*\]|\w+) --> (\[\*\]|\w+)(?: : ([^:;#%{}"<>]+))?$/.exec(line) ?? [];
    const [, composite] = /^ *state (\w+) \{$/.exec(line) ?? [];
    const [, state] = /^ *(\w+)$/.exec(line) ?? [];
    const name = (id: string): unknown => id !== "[*]" && places.set(id, open.join("."));
    if (from !== undefined && to !== undefined) {
      // Where a state has its place already, an arrow of the root does not move it.
      for (const id of [from, to]) if (open.length > 0 || !places.has(id)) name(id);
      arrows.push({ from, to, label });
    } else if (composite !== undefined) {
      name(composite);
      open.push(composite);
    } else if (state !== undefined) name(state);
    else if (/^ *\}$/.test(line) && open.length > 0) open.pop();
    else throw new Error(`Not in the simple syntax: ${line}`);
  }
  expect(open).toEqual([]);
  return { places, arrows };
}

function statesOf(node: AnyStateNode): AnyStateNode[] {
  const children: AnyStateNode[] = Object.values(node.states);
  return children.flatMap((child) => [child, ...statesOf(child)]);
}

describe.each<[string, AnyStateMachine]>([
  ["the agent chart", agentMachine],
  ["the tool-call chart", toolCallMachine],
])("%s as Mermaid", (_name, machine) => {
  const states = statesOf(machine.root);
  const { places, arrows } = read(toMermaid(machine));

  it("has every state, each in its composite", () => {
    const expected = states.map(({ key, path }) => [key, path.slice(0, -1).join(".")]);
    expect(Object.fromEntries(places)).toEqual(Object.fromEntries(expected));
  });

  it("has every event that leads elsewhere, and no other arrow", () => {
    const byKey = new Map(states.map((state) => [state.key, state]));
    for (const { from, to, label } of arrows) {
      if (from === "[*]" || to === "[*]") continue;
      for (const [, event = ""] of label.matchAll(/(\w+)(?: \[[^\]]*\])?/g)) {
        const above = ancestors(byKey.get(from)).flatMap((state) => state.transitions.get(event) ?? []);
        expect(
          above.some(({ target }) => target?.[0]?.key === to),
          `${from} --> ${to} : ${event}`,
        ).toBe(true);
      }
    }
    for (const state of states) {
      for (const [event, transitions] of state.transitions) {
        for (const { target: [target] = [] } of transitions) {
          if (target === undefined || target === state) continue;
          const label = new RegExp(`\\b${event}\\b`);
          expect(arrows.some((arrow) => arrow.to === target.key && label.test(arrow.label))).toBe(true);
        }
      }
    }
  });

  it("marks where it begins and where it ends", () => {
    const ends = states.filter(({ type }) => type === "final").map(({ key }) => key);
    expect(arrows.filter(({ to }) => to === "[*]").map(({ from }) => from)).toEqual(ends);
    const composites = states.filter(({ type }) => type === "compound").length;
    expect(arrows.filter(({ from }) => from === "[*]")).toHaveLength(composites + 1);
  });
});

describe("toMermaid", () => {
  it("tells states of one name apart, says else, and leaves out what stays", () => {
    const machine = createMachine({
      initial: "a",
      states: {
        a: {
          initial: "x",
          states: {
            x: { id: "ax", on: { go: [{ guard: "may", target: "#bx" }, { target: "y" }] } },
            y: { on: { stay: {} } },
            z: {},
          },
        },
        b: {
          initial: "x",
          states: { x: { id: "bx", on: { back: [{ guard: "may", target: "#ax" }, { target: "#ax" }] } } },
        },
      },
    });
    expect(
      toMermaid(machine)
        .trimEnd()
        .split("\n")
        .slice(1)
        .map((line) => line.trim()),
    ).toEqual([
      "[*] --> a",
      "state a {",
      "[*] --> a_x",
      "z",
      "a_x --> y : go [else]",
      "}",
      "state b {",
      "[*] --> b_x",
      "b_x",
      "}",
      "a_x --> b_x : go [may]",
      "b_x --> a_x : back",
    ]);
  });
});

function ancestors(state: AnyStateNode | undefined): AnyStateNode[] {
  return state === undefined ? [] : [state, ...ancestors(state.parent)];
}
