import { createAgent, memoryLog } from "rubato";
import { serve } from "rubato/server";
import { goldenModel, goldenTools } from "../support/golden-run.ts";
import { stored } from "../support/logs.ts";
import { manualClock } from "../support/manual-clock.ts";
import { checkAgui } from "./agui-check.ts";
import { framesOf } from "./agui-client.ts";
import { checkUi } from "./ui-check.ts";

/** What is done to a run, and how its streams have to end then: anything else is a lie. */
export const DEEDS = {
  step: ["interrupt", "abort"],
  now: ["interrupt", "abort"],
  cancel: ["cancelled", "abort"],
  shutdown: ["interrupt", "abort"],
} as const;
export type Deed = keyof typeof DEEDS;

const TASK = "What is the average temperature?";

/**
 * Begins a run over one protocol while the other attaches, does something to it at its event `at`, and answers what is wrong with the two streams: each
 * has to be valid, to end, and to say how it ended. A run that had ended before is done.
 */
export async function problemsAt(deed: Deed, at: number, first: "agui" | "ui"): Promise<string[]> {
  const log = memoryLog();
  const agent = createAgent({
    name: "ends",
    model: goldenModel(),
    tools: goldenTools({ started: [], finished: [], aborted: [] }),
    log,
    clock: manualClock(),
  });
  const server = await serve({ agents: agent, port: 0, closeMs: 2_000 });
  const found: string[] = [];
  let close: Promise<void> | undefined;
  const unsubscribe = agent.subscribe("*", async (event) => {
    if (event.seq !== at) return;
    const run = await agent.open(event.runId);
    if (deed === "shutdown") close = server.close();
    else if (deed === "cancel") await run.cancel("here");
    else await run.interrupt("here", { mode: deed });
  });
  const ask = async (path: string, body: unknown): Promise<string | undefined> => {
    const response = await fetch(server.url + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (response.ok) return text;
    // A server that closes before the stream began says so, and begins none.
    if (deed !== "shutdown" || response.status !== 503) found.push(`${response.status}: ${text}`);
    return undefined;
  };
  const agui = () => ask("/agui", { threadId: "r", runId: "a", messages: [{ id: "u", role: "user", content: TASK }] });
  const ui = () =>
    ask("/ui/chat", { id: "r", messages: [{ id: "u", role: "user", parts: [{ type: "text", text: TASK }] }] });
  try {
    const [begun, attach] = first === "agui" ? [agui, ui] : [ui, agui];
    const texts = [begun()];
    while ((await log.head("r")).seq === 0) await new Promise((resolve) => setImmediate(resolve));
    // The one that comes later may come too late for a server that closes.
    if (deed !== "shutdown") texts.push(attach());
    const [one, other] = await Promise.all(texts);
    const [aguiText, uiText] = first === "agui" ? [one, other] : [other, one];
    const events = await stored(log, "r");
    const done = events.some(({ type }) => type === "done");
    const [aguiEnd, uiEnd] = done ? (["success", "finish"] as const) : DEEDS[deed];
    if (aguiText !== undefined) {
      const frames = framesOf(aguiText);
      found.push(...(await checkAgui(frames)).problems);
      const end = JSON.stringify(frames.at(-1));
      if (!end.includes(`"outcome":{"type":"${aguiEnd}"`)) found.push(`AG-UI ends with ${end} where it is ${aguiEnd}`);
    }
    if (uiText !== undefined) {
      const frames = framesOf(uiText);
      found.push(...(await checkUi(frames)).problems);
      if (frames.at(-1)?.type !== uiEnd)
        found.push(`the UI stream ends with ${JSON.stringify(frames.at(-1))} where it is ${uiEnd}`);
      if (!uiText.includes("data: [DONE]\n\n")) found.push("no [DONE]");
    }
  } finally {
    unsubscribe();
    await (close ?? server.close());
    await agent.close();
  }
  return found.map((problem) => `${deed} at ${at}, ${first} first: ${problem}`);
}
