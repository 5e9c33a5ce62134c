import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { AnyStateMachine } from "xstate";
import { agentMachine, toMermaid, toolCallMachine } from "rubato/machines";
import { AGENT_LAYOUT, TOOL_CALL_LAYOUT } from "../../../runtime/inspect/chart-layout.ts";
import { arrowsOf, nodesBelow } from "../../../machines/chart-graph.ts";
import { layOut } from "./lay-out.ts";

// The places of the boxes and arrows were computed once, from the machines, so that no page waits for it. This test holds them to the machines of
// today: `CHART_UPDATE=1 npx vitest run test/inspect/page/chart-layout.test.ts` computes them anew.

const file = join(import.meta.dirname, "../../../runtime/inspect/chart-layout.ts");

describe("the layout of the charts", () => {
  it("is what ELK makes of the machines", async () => {
    const agent = await layOut(agentMachine, "DOWN");
    const toolCall = await layOut(toolCallMachine, "RIGHT");
    if (process.env["CHART_UPDATE"] !== undefined) {
      const said = [
        'import type { ChartLayout } from "./chart-drawing.ts";',
        "",
        "// Computed by ELK from the machines, and held to them by a test: test/inspect/page/chart-layout.test.ts. Do not edit.",
        "",
        `export const AGENT_LAYOUT: ChartLayout = ${JSON.stringify(agent)};`,
        "",
        `export const TOOL_CALL_LAYOUT: ChartLayout = ${JSON.stringify(toolCall)};`,
        "",
      ];
      writeFileSync(file, said.join("\n"));
      spawnSync("npx", ["oxfmt", file]);
      return;
    }
    expect(AGENT_LAYOUT).toEqual(agent);
    expect(TOOL_CALL_LAYOUT).toEqual(toolCall);
  });

  it.for<[string, AnyStateMachine, typeof AGENT_LAYOUT]>([
    ["agent", agentMachine, AGENT_LAYOUT],
    ["tool-call", toolCallMachine, TOOL_CALL_LAYOUT],
  ])("has every state and every arrow of the %s chart, as Mermaid has", ([, machine, layout]) => {
    const paths = nodesBelow(machine.root).map(({ path }) => path.join("."));
    expect(layout.boxes.map(({ path }) => path).sort()).toEqual(paths.sort());
    const arrows = arrowsOf(machine).map(({ source, target }) => `${source.path.join(".")} ${target.path.join(".")}`);
    expect(layout.arrows.map(({ from, to }) => `${from} ${to}`).sort()).toEqual(arrows.sort());
    const drawn = [...toMermaid(machine).matchAll(/^ *\w+ --> \w+ : /gm)];
    expect(drawn).toHaveLength(layout.arrows.length);
  });
});
