import { createAgent } from "rubato";
import type { Event } from "rubato/machines";
import { memoryLog } from "../../runtime/log/memory.ts";
import { goldenModel, goldenTools } from "./golden-run.ts";
import { stored } from "./logs.ts";
import { manualClock } from "./manual-clock.ts";

/** Logs of real runs: undisturbed, interrupted and resumed in both modes, redirected, followed up, cancelled. */
export async function recordedLogs(): Promise<(readonly Event[])[]> {
  const logs: (readonly Event[])[] = [];
  const deeds = ["nothing", "step", "now", "redirect", "follow", "cancel"] as const;
  for (const deed of deeds) {
    for (const at of [8, 30, 45]) {
      const log = memoryLog();
      const agent = createAgent({
        name: "recorded",
        model: goldenModel(),
        tools: goldenTools({ started: [], finished: [], aborted: [] }),
        log,
        clock: manualClock(),
      });
      const run = agent.run("How is the weather?", { runId: "r" });
      for await (const event of run) {
        if (event.seq !== at) continue;
        if (deed === "step" || deed === "now") await run.interrupt("recorded", { mode: deed });
        if (deed === "redirect") await run.send("in Celsius", { when: "now" });
        if (deed === "follow") await run.send("and tomorrow?", { when: "done" });
        if (deed === "cancel") await run.cancel("recorded");
      }
      if (run.state.status === "interrupted") await run.resume("go on");
      await run.settled();
      await agent.close();
      logs.push(await stored(log, "r"));
    }
  }
  return logs;
}
