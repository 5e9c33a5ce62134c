import { agentMachine } from "../../../machines/agent.ts";
import { toMermaid } from "../../../machines/mermaid.ts";
import { toolCallMachine } from "../../../machines/tool-call.ts";
import { AGENT_LAYOUT, TOOL_CALL_LAYOUT } from "../../inspect/chart-layout.ts";
import { chartSvg } from "../../inspect/chart-svg.ts";
import { EXIT } from "../exit-code.ts";
import type { LogCommand } from "../log-command.ts";

export const chartCommand: LogCommand = {
  name: "chart",
  usage: "chart [agent | tool-call] [--mermaid | --json | --svg]",
  says: "the statechart, as Mermaid, as a drawing (SVG) or as the machine's config, which pastes into Stately's editor",
  options: ["mermaid", "json", "svg"],
  read({ words, values }) {
    const [which = "agent", more] = words;
    if (more !== undefined || (which !== "agent" && which !== "tool-call")) {
      return `There are two charts, "agent" and "tool-call"; got ${JSON.stringify(more ?? which)}.`;
    }
    const { mermaid = false, json = false, svg = false } = values;
    if ([mermaid, json, svg].filter((asked) => asked).length > 1) {
      return "--mermaid, --json and --svg exclude each other.";
    }
    const machine = which === "agent" ? agentMachine : toolCallMachine;
    return async (io) => {
      if (svg) await io.out.write(chartSvg(machine, which === "agent" ? AGENT_LAYOUT : TOOL_CALL_LAYOUT));
      else await io.out.write(json ? `${JSON.stringify(machine.config, undefined, 2)}\n` : toMermaid(machine));
      return EXIT.done;
    };
  },
};
