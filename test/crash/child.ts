import { existsSync } from "node:fs";
import { join } from "node:path";
import type { EventLog } from "../../runtime/log/event-log.ts";
import { fileLog } from "../../runtime/log/file.ts";
import { agentOf, drive, RUN_ID, SCENARIOS } from "./scenarios.ts";

/**
 * A process that dies. Arguments: folder, scenario, and what it does: `before N` or `after N` kill it before or after its N-th event is stored,
 * `effect CALL` after the effect of a call, `pace MS` never (its tools take their time), `resume MS` and `takeover MS` go on with the run that they
 * find, when they are told to.
 */
const [folder = "", named = "", what = "", where = ""] = process.argv.slice(2);
const scenario = SCENARIOS.find((known) => known === named);
if (scenario === undefined) throw new Error(`no scenario "${named}"`);

function die(): never {
  process.kill(process.pid, "SIGKILL");
  // The signal arrives when the process next looks; nothing may happen until then.
  for (;;) if (!existsSync("/")) break;
  throw new Error("unreachable");
}

/** Stores event by event, so that the process can die between any two. */
function dying(log: EventLog): EventLog {
  let stored = 0;
  return {
    ...log,
    async append(runId, { epoch, events }) {
      for (const event of events) {
        stored++;
        if (what === "before" && stored === Number(where)) die();
        await log.append(runId, { epoch, events: [event] });
        if (what === "after" && stored === Number(where)) die();
      }
      return undefined;
    },
  };
}

const wait = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, Number(where) * Math.random()));
const resumes = what === "resume" || what === "takeover";
const log = fileLog(join(folder, "runs"));
const agent = agentOf(scenario, {
  log: what === "before" || what === "after" ? dying(log) : log,
  ledger: join(folder, "ledger.jsonl"),
  afterEffect: (callId) => {
    if (what === "effect" && callId === where) die();
  },
  ...(what === "pace" || resumes ? { pace: wait } : {}),
});

if (resumes) {
  // All are ready before any begins.
  console.log("ready");
  await new Promise<void>((resolve) => process.stdin.once("data", () => resolve()));
  process.stdin.destroy();
  const answer = await agent.resume(RUN_ID, undefined, { takeover: what === "takeover" });
  console.log(answer.accepted ? "accepted" : answer.reason);
  if (answer.accepted) {
    const outcome = await answer.run.settled();
    console.log(`${outcome.status} ${outcome.error?.code ?? ""}`);
  }
} else {
  const run = agent.run("Look up the weather and deal with the bill.", { runId: RUN_ID });
  console.log("ready");
  await drive(scenario, run);
  console.log(`events ${run.state.seq}`);
}
await agent.close();
