import { Window } from "happy-dom";
import { expect, it, onTestFinished } from "vitest";
import { agentMachine, toMermaid, toolCallMachine } from "rubato/machines";
import { arrowsOf, nodesBelow } from "../../machines/chart-graph.ts";
import { stage } from "../cli/stage.ts";

it.for([
  ["agent", agentMachine],
  ["tool-call", toolCallMachine],
] as const)(
  "rubato chart %s --svg draws every state and every arrow, with what leads along it",
  async ([name, machine]) => {
    const { rubato, close } = stage();
    onTestFinished(close);
    const { code, out } = await rubato("chart", name, "--svg");
    expect(code).toBe(0);
    const window = new Window();
    onTestFinished(() => window.happyDOM.close());
    const svg = new window.DOMParser().parseFromString(out, "image/svg+xml").documentElement;
    expect(svg.tagName).toBe("svg");
    const texts = [...svg.querySelectorAll("text")].map(({ textContent }) => textContent);
    expect(texts.sort()).toEqual(
      nodesBelow(machine.root)
        .map(({ key }) => key)
        .sort(),
    );
    const titles = [...svg.querySelectorAll("path.arrow > title")].map(({ textContent }) => textContent);
    const arrows = arrowsOf(machine);
    expect(titles).toHaveLength(arrows.length);
    for (const { source, target, events } of arrows) {
      const title = titles.find((said) => said.startsWith(`${source.path.join(".")} → ${target.path.join(".")}:`));
      for (const [event, guards] of events)
        expect(title).toContain(guards.length === 0 ? event : `${event} [${guards.join(" / ")}]`);
    }
    // The same arrows as in Mermaid, whose labels are the same words.
    expect([...toMermaid(machine).matchAll(/^ *\w+ --> \w+ : /gm)]).toHaveLength(titles.length);
  },
);
