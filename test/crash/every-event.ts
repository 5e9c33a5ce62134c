import { expect } from "vitest";
import { inFolder, recover, runChild } from "./recover.ts";
import { SCENARIOS, type Scenario } from "./scenarios.ts";

/** A moment to die at: before or after the n-th event is stored, or after the effect of a call. */
interface Point {
  readonly scenario: Scenario;
  readonly point: readonly [string, string];
}

const CALLS: Readonly<Record<Scenario, readonly string[]>> = {
  one_tool: ["1.0", "2.0"],
  parallel: ["1.0", "1.1", "1.2"],
  interrupt: ["1.0", "2.0"],
  redirect: ["1.0", "2.0"],
  // The first answer's calls are skipped at the limit.
  control: ["2.0", "2.1"],
};

/** Every moment of every scenario, in turn. */
export async function killPoints(): Promise<Point[]> {
  const points: Point[] = [];
  for (const scenario of SCENARIOS) {
    const { out, err } = await inFolder((folder) => runChild(folder, scenario, ["before", "0"]));
    const count = Number(/events (\d+)/.exec(out)?.[1]);
    expect(count, `${scenario}: ${out} ${err}`).toBeGreaterThan(15);
    for (let at = 1; at <= count; at++) {
      points.push({ scenario, point: ["before", String(at)] }, { scenario, point: ["after", String(at)] });
    }
    const calls = CALLS[scenario];
    for (const callId of calls) points.push({ scenario, point: ["effect", callId] });
  }
  return points;
}

/** Kills a process at each of these points and recovers its run. Answers how many died in the middle of a run. */
export async function killAt(points: readonly Point[]): Promise<number> {
  let died = 0;
  const queue = [...points];
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const { scenario, point } = next;
      await inFolder(async (folder) => {
        const { signal, out, err } = await runChild(folder, scenario, point);
        const where = `${scenario} ${point.join(" ")} ${signal} ${err}`;
        // A run that was over before the point (a call that another run of the scenario does not make) is checked all the same.
        expect(signal === "SIGKILL" || out.includes("events"), where).toBe(true);
        if (signal === "SIGKILL") died++;
        const found = await recover(folder, scenario, where);
        if (!found) expect(point, where).toEqual(["before", "1"]);
      });
    }
  };
  await Promise.all([worker(), worker()]);
  return died;
}
