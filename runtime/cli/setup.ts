import { stat } from "node:fs/promises";
import { standardTools } from "../../tools/standard.ts";
import { createAgent, type Agent } from "../agent.ts";
import { RubatoError } from "../errors.ts";
import { offlineModel } from "../models/offline.ts";
import { openaiModel } from "../models/openai.ts";
import type { EventLog } from "../log/event-log.ts";
import type { Settings } from "./settings.ts";

const INSTRUCTIONS = `You are rubato, an assistant in a person's terminal.
Answer in plain text without Markdown: short, exact, in the person's language.
Use the tools for whatever they can find out: files, arithmetic, the time. Never guess what a tool can tell.
The person may stop and redirect you at any moment. Then follow the new direction and do not start over.`;

/** What the command runs with. `notice` says which model answers, where that may surprise. */
export interface Setup {
  readonly agent: Agent;
  readonly log: EventLog;
  readonly modelName: string;
  readonly offline: boolean;
  readonly notice: string | undefined;
}

export const OFFLINE_NOTICE =
  "This is the offline model, small and rule-based. Set OPENAI_API_KEY or OPENAI_BASE_URL to talk to a real one.";

/** Makes the agent. What cannot work is a sentence for the person who typed the command. */
export async function prepare(settings: Settings, log: EventLog): Promise<Setup | string> {
  const { model: choice, root, maxSteps } = settings;
  const isFolder = await stat(root).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  if (!isFolder) return `--root must be a folder that exists, got ${JSON.stringify(root)}.`;
  try {
    const model =
      choice.kind === "offline"
        ? offlineModel()
        : openaiModel({
            model: choice.model,
            ...(choice.baseURL === undefined ? {} : { baseURL: choice.baseURL }),
          });
    const agent = createAgent({
      name: "rubato",
      instructions: INSTRUCTIONS,
      model,
      tools: standardTools({ root }),
      log,
      ...(maxSteps === undefined ? {} : { maxSteps }),
    });
    const offline = choice.kind === "offline";
    return { agent, log, modelName: model.name, offline, notice: offline ? OFFLINE_NOTICE : undefined };
  } catch (error) {
    if (error instanceof RubatoError) return error.message;
    throw error;
  }
}
