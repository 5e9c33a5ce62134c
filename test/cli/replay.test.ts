import { afterEach, describe, expect, it } from "vitest";
import { createPilot } from "../../runtime/cli/pilot.ts";
import type { Terminal, TerminalEvents } from "../../runtime/cli/terminal.ts";
import { parseEvent, type Event } from "rubato/machines";
import type { EventLog } from "../../runtime/log/event-log.ts";
import { leftBehind } from "../support/left-behind.ts";
import { recordedLogs } from "../support/recorded-logs.ts";
import { smallTerminal } from "./small-terminal.ts";
import { captured, stage, type Stage } from "./stage.ts";

const stages: Stage[] = [];
afterEach(async () => {
  for (const made of stages.splice(0)) await made.close();
});

/** A run with two tools that was interrupted and resumed. */
async function recorded(): Promise<{ log: EventLog; events: readonly Event[] }> {
  const events = (await recordedLogs())[4] ?? [];
  return { log: await leftBehind(events), events };
}

describe("replay without a terminal", () => {
  it("prints the conversation with what the chart asked, and runs nothing", async () => {
    const { log, events } = await recorded();
    const made = stage({ log });
    stages.push(made);
    const { code, out, err } = await made.rubato("replay", "r");
    expect(code).toBe(0);
    expect(err).toBe(`seq ${events.length} of ${events.length}: done\n`);
    expect(out).toContain("› How is the weather?");
    expect(out).toMatch(
      /◇ \d+ message in thinking\.streaming: answerTruncated no, answerEndedInterrupted no,\s+answerWantsTools yes → acting\.executing/,
    );
    expect(out).toMatch(
      /◇ \d+ resume in interrupted\.paused: mayResumeComplete no, mayResume yes → thinking\.preparing/,
    );
    expect(await log.read("r", { after: 0, limit: 10_000 })).toEqual(events);
  });

  it("ends at a seq with the state there, and keeps the recorded pace where it is asked to", async () => {
    const { log, events } = await recorded();
    let at = 0;
    const slept: number[] = [];
    const made = stage({
      log,
      io: {
        now: () => at,
        sleep: async (ms) => {
          slept.push(ms);
          at += ms;
        },
      },
    });
    stages.push(made);
    const moment = events.findIndex(({ type }) => type === "tool_start") + 1;
    const { out } = await made.rubato("replay", "r", "--to", String(moment));
    expect(out).toMatch(/^state {5}acting\.executing$/m);
    expect(out).toMatch(new RegExp(`^seq {7}${moment}, stored up to ${events.length}$`, "m"));
    expect(at).toBe(0);
    expect(await made.rubato("replay", "r", "--to", "99999")).toMatchObject({
      code: 1,
      err: expect.stringContaining("ends at seq"),
    });
    await made.rubato("replay", "r", "--speed", "max");
    expect(at).toBe(0);
    const stretched = events.map((event, index): Event => parseEvent({ ...event, timestamp: 1_000 + index * 20 }));
    const slow = stage({
      log: await leftBehind(stretched),
      io: { now: () => at, sleep: async (ms) => void (at += ms) },
    });
    stages.push(slow);
    await slow.rubato("replay", "r", "--speed", "1");
    expect(at).toBeCloseTo((events.length - 1) * 20, 0);
    at = 0;
    await slow.rubato("replay", "r", "--speed", "10");
    expect(at).toBeCloseTo((events.length - 1) * 2, 0);
  });

  it("says where a log does not fold, after what could be shown", async () => {
    const { events } = await recorded();
    const cut = events
      .slice(0, 20)
      .filter(({ type }) => type !== "thinking")
      .map((event, index) => ({ ...event, seq: index + 1 }));
    const made = stage({ log: await leftBehind(cut) });
    stages.push(made);
    const { code, err } = await made.rubato("replay", "r");
    expect(code).toBe(1);
    expect(err).toMatch(/diverges at seq \d+/);
  });

  it.each([
    [["replay", "r", "--speed", "2"], /--speed must be 1, 10 or max/],
    [["replay", "r", "--to", "0"], /--to must be/],
    [["replay"], /needs a run/],
  ])("%j", async (argv, sentence) => {
    expect((await stage().rubato(...argv)).err).toMatch(sentence);
  });
});

describe("replay on a terminal", () => {
  it("goes event by event, to the next step, and ends", async () => {
    const { log, events } = await recorded();
    const grid = smallTerminal(40);
    let press: TerminalEvents["onKey"] = () => {};
    let changed = (): void => {};
    const terminal: Terminal = {
      columns: 120,
      rows: 40,
      write(text) {
        grid.write(text);
        changed();
      },
      stop() {},
    };
    const shown = (pattern: RegExp): Promise<void> =>
      new Promise((resolve) => {
        changed = () => {
          if (pattern.test(grid.all.join("\n"))) resolve();
        };
        changed();
      });
    const made = stage({
      log,
      io: {
        columns: 120,
        keyboard: true,
        openTerminal: (on) => {
          press = on.onKey;
          return terminal;
        },
        sleep: (_ms, signal) =>
          new Promise((resolve) => {
            if (signal.aborted) resolve();
            signal.addEventListener("abort", () => {
              resolve();
            });
          }),
      },
    });
    stages.push(made);
    const played = made.rubato("replay", "r", "--step");
    const place = (seq: number): RegExp => new RegExp(`seq ${seq}/${events.length} \\[`);
    await shown(place(0));
    press(" ");
    await shown(place(1));
    press("\u001b[C");
    await shown(place(2));
    press("\r");
    const step = events.findIndex(({ type }) => type === "thinking") + 1;
    await shown(place(step));
    expect(grid.all.join("\n")).toContain("◇ 4 thinking in thinking.preparing: maySend yes → thinking.requesting");
    press("\r");
    await shown(/answerWantsTools yes/);
    press("q");
    const { code, err } = await played;
    expect(code).toBe(0);
    expect(err).toMatch(/^seq \d+ of \d+: \w+/);
    expect(grid.all.join("\n")).not.toContain("space/→");
  });
});

describe("the pilot", () => {
  it("plays, stops at a key, and plays on", async () => {
    const [events = []] = await recordedLogs();
    const [event] = events;
    if (event === undefined) throw new Error("no events");
    const io = {
      now: () => 0,
      sleep: (_ms: number, signal: AbortSignal) =>
        new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve())),
    };
    const pilot = createPilot({ speed: 1, stepping: false, alone: false, io, onChange() {} });
    const allowed = pilot.allow(event, 5_000);
    pilot.key(" ");
    expect(pilot.stepping).toBe(true);
    pilot.key("p");
    expect(await allowed).toBe(true);
    const next = pilot.allow(event, 5_000);
    pilot.key("q");
    expect(await next).toBe(false);
    expect(captured().text).toBe("");
  });
});
