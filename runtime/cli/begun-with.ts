import type { EventLog } from "../log/event-log.ts";
import { oneLine } from "./sanitizer.ts";

/** What a run was begun with. */
export interface BegunWith {
  readonly model: string;
  /** Names of its tools. */
  readonly tools: readonly string[];
}

/** Undefined where it has no beginning yet. */
export async function begunWith(log: EventLog, runId: string): Promise<BegunWith | undefined> {
  const [first] = await log.read(runId, { after: 0, limit: 1 });
  if (first?.type !== "run_start") return undefined;
  const { model, agent } = first.data;
  return { model, tools: agent.tools.map(({ name }) => name) };
}

/** A sentence, where none of these models is the one that it was begun with: nobody is to take one's words for the other's. */
export function otherModel(begun: string, names: readonly string[]): string | undefined {
  if (names.includes(begun)) return undefined;
  const here = names.map((name) => `"${oneLine(name, 60)}"`).join(", ");
  return `The run was begun with the model "${oneLine(begun, 60)}"; here ${here} answers (--model and --base-url choose).`;
}
