import { agentMachine } from "../../../machines/agent.ts";
import { toMermaid } from "../../../machines/mermaid.ts";
import { toolCallMachine } from "../../../machines/tool-call.ts";
import { EXIT } from "../exit-code.ts";
import type { LogCommand } from "../log-command.ts";

export const chartCommand: LogCommand = {
  name: "chart",
  usage: "chart [agent | tool-call] [--mermaid | --json]",
  says: "the statechart, as Mermaid or as the machine's config",
  options: ["mermaid", "json"],
  read({ words, values }) {
    const [which = "agent", more] = words;
    if (more !== undefined || (which !== "agent" && which !== "tool-call")) {
      return `There are two charts, "agent" and "tool-call"; got ${JSON.stringify(more ?? which)}.`;
    }
    const { mermaid = false, json = false } = values;
    if (mermaid && json) return "--mermaid and --json exclude each other.";
    const machine = which === "agent" ? agentMachine : toolCallMachine;
    return async (io) => {
      await io.out.write(json ? `${JSON.stringify(machine.config, undefined, 2)}\n` : toMermaid(machine));
      return EXIT.done;
    };
  },
};
