import { stat } from "node:fs/promises";
import type { ChatModel } from "../models/chat-model.ts";
import { actingTools, standardTools } from "../../tools/standard.ts";
import type { Tool } from "../../tools/tool.ts";
import { createAgent, type Agent } from "../agent.ts";
import { RubatoError } from "../errors.ts";
import { offlineModel } from "../models/offline.ts";
import { openaiModel } from "../models/openai.ts";
import type { EventLog } from "../log/event-log.ts";
import { otherModel, type BegunWith } from "./begun-with.ts";
import type { ModelChoice, Settings, ToolChoice } from "./settings.ts";

const INSTRUCTIONS = `You are rubato, an assistant in a person's terminal.
Answer in plain text without Markdown: short, exact, in the person's language.
Use the tools for whatever they can find out: files, arithmetic, the time. Never guess what a tool can tell.
The person is asked before a tool changes something, and may change its arguments or say no. Never try the same again after a no.
The person may stop and redirect you at any moment. Then follow the new direction and do not start over.`;

/** What the command runs with. `notice` says which model answers, where that may surprise. */
export interface Setup {
  readonly agent: Agent;
  readonly log: EventLog;
  readonly modelName: string;
  readonly offline: boolean;
  readonly notice: string | undefined;
  /** That the run was begun with another model. */
  readonly change: string | undefined;
  /** What must not be overlooked. */
  readonly warning: string | undefined;
}

export const OFFLINE_NOTICE =
  "This is the offline model, small and rule-based. Set OPENAI_API_KEY or OPENAI_BASE_URL to talk to a real one.";

export const YES_NOTICE =
  "--yes: NOBODY IS ASKED. Commands run, files are written and addresses are fetched as the model likes.";

/** Makes the agent, for a new run or for one that was begun before. What cannot work is a sentence for the person who typed the command. */
export async function prepare(settings: Settings, log: EventLog, begun?: BegunWith): Promise<Setup | string> {
  const { model: choice, root, maxSteps, budget, price, yes } = settings;
  const isFolder = await stat(root).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  if (!isFolder) return `--root must be a folder that exists, got ${JSON.stringify(root)}.`;
  try {
    const models = modelsOf(choice);
    const tools = settings.tools ?? chosenBy(begun?.tools);
    const agent = createAgent({
      name: "rubato",
      instructions: INSTRUCTIONS,
      model: models,
      tools: toolsOf(tools, root),
      log,
      budget,
      ...(yes ? { approval: "never" } : {}),
      ...(price === undefined ? {} : { prices: Object.fromEntries(models.map(({ name }) => [name, price])) }),
      ...(maxSteps === undefined ? {} : { maxSteps }),
    });
    const offline = choice.kind === "offline";
    return {
      agent,
      log,
      modelName: models.map(({ name }) => name).join(", "),
      offline,
      notice: offline ? OFFLINE_NOTICE : undefined,
      change:
        begun === undefined
          ? undefined
          : otherModel(
              begun.model,
              models.map(({ name }) => name),
            ),
      warning: yes && tools === "all" ? YES_NOTICE : undefined,
    };
  } catch (error) {
    if (error instanceof RubatoError) return error.message;
    throw error;
  }
}

function modelsOf(choice: ModelChoice): readonly ChatModel[] {
  if (choice.kind === "offline") return [offlineModel()];
  const { models, baseURL } = choice;
  return models.map((model) => openaiModel({ model, ...(baseURL === undefined ? {} : { baseURL }) }));
}

function toolsOf(tools: ToolChoice, root: string): Tool[] {
  return tools === "read" ? standardTools({ root }) : [...standardTools({ root }), ...actingTools({ root })];
}

/** A run goes on with the tools that it was begun with: others would be another agent. */
function chosenBy(begun: readonly string[] | undefined): ToolChoice {
  return begun === undefined || begun.includes("run_command") ? "all" : "read";
}
