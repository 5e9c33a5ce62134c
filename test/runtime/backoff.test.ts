import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { fileLog, memoryLog, retryBucket, type AgentOptions, type EventLog } from "rubato";
import { deferred, eventsOf, quiet } from "../support/agents.ts";
import { deltaFrame, faultServer, listen, type Fault, type TestServer } from "../support/fault-server.ts";
import { httpAgent, inBackoff, withoutWaits } from "../support/http-run.ts";
import { checkLog } from "../support/invariants.ts";
import { slowLog, stored } from "../support/logs.ts";
import { manualClock, type ManualClock } from "../support/manual-clock.ts";

// What meets a run that waits for its next attempt (P30, P18, P19, P32), over real sockets.

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const answer = (content: string): Fault => ({ frames: [deltaFrame({ content }, "stop")], end: "done" });
const whole = answer("whole");
const down: Fault = { status: 503, body: { error: { message: "down" } } };
const busy: Fault = { status: 429, headers: { "retry-after": "30" }, body: { error: { message: "slow down" } } };

async function serve(faults: readonly Fault[]): Promise<TestServer> {
  const server = await faultServer(faults);
  closing.push(() => server.close());
  return server;
}

type More = Partial<Omit<AgentOptions, "clock">> & { readonly clock?: ManualClock };

async function start(faults: readonly Fault[], options: More = {}) {
  const server = await serve(faults);
  const made = httpAgent([server], options);
  closing.push(() => made.agent.close());
  return { server, ...made, run: made.agent.run("go") };
}

function said(server: TestServer, index: number): unknown[] {
  const { body } = server.requests[index] ?? {};
  const messages: unknown = typeof body === "object" && body !== null && "messages" in body ? body.messages : [];
  return Array.isArray(messages)
    ? messages.map((message: unknown) =>
        typeof message === "object" && message !== null && "content" in message ? message.content : undefined,
      )
    : [];
}

/** A log that has the first `retry` in hand and has not stored it when `reached` resolves. */
function storing(): { readonly log: EventLog; readonly reached: Promise<void> } {
  const { promise, resolve } = deferred();
  const log = slowLog((events) => {
    if (events.some(({ type }) => type === "retry")) resolve();
  });
  return { log, reached: promise };
}

describe("P18 an interrupt in backoff", () => {
  for (const mode of ["step", "now"] as const) {
    for (const slow of [false, true]) {
      it(`${mode}${slow ? ", before the wait is durable" : ""}: acts at once, leaves no timer, and resume asks again`, async () => {
        const { log, reached } = slow ? storing() : { log: memoryLog(), reached: undefined };
        const { run, clock, server } = await start([down, whole], { log });
        await (reached ?? inBackoff(run));
        expect(await run.interrupt("enough", { mode })).toMatchObject({ effective: true, where: "thinking.backoff" });
        expect(await run.settled()).toMatchObject({ status: "interrupted" });
        expect(clock.pending).toBe(0);
        clock.advance(3_600_000);
        await quiet();
        expect(server.requests).toHaveLength(1);
        await run.resume();
        expect(await run.settled()).toMatchObject({ status: "done", output: "whole" });
        expect(server.requests).toHaveLength(2);
        expect(clock.pending).toBe(0);
        checkLog(await stored(log, run.id));
      });
    }
  }

  it("a redirect is heard at once: nothing waits any more", async () => {
    const { run, clock, server, log } = await start([busy, answer("instead")]);
    await inBackoff(run);
    await run.send("do this instead", { when: "now" });
    expect(await run.settled()).toMatchObject({ status: "done", output: "instead" });
    expect(said(server, 1)).toEqual(["go", "do this instead"]);
    expect(clock.pending).toBe(0);
    checkLog(await stored(log, run.id));
  });

  it.each(["waits", "is about to wait"])(
    "a run that %s and is redirected has no timer left of the wait",
    async (moment) => {
      const silent: Fault = { silent: true };
      const plain = await start([silent], { log: slowLog() });
      const { log, reached } = storing();
      const { run, clock, server } = await start([busy, silent], { log });
      await (moment === "waits" ? inBackoff(run) : reached);
      const sent = run.send("again", { when: "now" });
      expect(run.durableSeq).toBeLessThan(run.state.seq);
      await sent;
      await Promise.all([plain.server.request(0), server.request(1)]);
      expect(clock.pending).toBe(plain.clock.pending);
    },
  );

  it("R4 a wait that was overtaken before it was durable does not ring into a later one", async () => {
    const { log, reached } = storing();
    const { run, clock, server } = await start([busy, down, whole], { log });
    await reached;
    await run.send("again", { when: "now" });
    await inBackoff(run);
    expect(clock.pending).toBeGreaterThan(0);
    expect(await withoutWaits(run, clock)).toMatchObject({ status: "done", output: "whole" });
    expect(server.requests).toHaveLength(3);
    expect(await eventsOf(log, run, "retry_due")).toHaveLength(1);
    checkLog(await stored(log, run.id));
  });
});

describe("a run that is ended in backoff", () => {
  it("by cancel", async () => {
    const { run, clock, server, log } = await start([busy, whole]);
    await inBackoff(run);
    expect(await run.cancel("no more")).toMatchObject({ accepted: true });
    expect(await run.settled()).toMatchObject({ status: "cancelled" });
    expect(clock.pending).toBe(0);
    clock.advance(3_600_000);
    await quiet();
    expect(server.requests).toHaveLength(1);
    checkLog(await stored(log, run.id));
  });

  it("by closing the agent: it can be resumed", async () => {
    const { run, clock, agent, server } = await start([busy, whole]);
    await inBackoff(run);
    await agent.close();
    expect(run.state.status).toBe("interrupted");
    expect(clock.pending).toBe(0);
    expect(server.requests).toHaveLength(1);
  });
});

describe("what is said in backoff", () => {
  it("is heard by the request that is made again, in its order", async () => {
    const { run, clock, server, log } = await start([down, whole]);
    await inBackoff(run);
    await run.send("one more thing");
    await run.send("and another");
    expect(await withoutWaits(run, clock)).toMatchObject({ status: "done", output: "whole" });
    expect(said(server, 1)).toEqual(["go", "one more thing", "and another"]);
    expect(server.requests).toHaveLength(2);
    expect((await eventsOf(log, run, "thinking")).map(({ data }) => [data.step, data.attempt])).toEqual([
      [1, 1],
      [1, 2],
    ]);
    expect((await eventsOf(log, run, "input_delivered")).map(({ data }) => [data.delivered, data.step])).toEqual([
      [true, 1],
      [true, 1],
      [true, 1],
    ]);
    checkLog(await stored(log, run.id));
  });

  it("for after the answer waits for it", async () => {
    const { run, clock, server } = await start([down, whole, answer("then")]);
    await inBackoff(run);
    await run.send("afterwards", { when: "done" });
    expect(await withoutWaits(run, clock)).toMatchObject({ status: "done", output: "then" });
    expect(said(server, 1)).toEqual(["go"]);
    expect(said(server, 2)).toEqual(["go", "whole", "afterwards"]);
  });
});

describe("P32 a limit in backoff", () => {
  it("the time is up: the wait ends as a stop that can be gone on with", async () => {
    const { run, clock, server, log } = await start([busy, whole], { budget: { wallMs: 10_000 } });
    await inBackoff(run);
    clock.advance(9_999);
    expect(run.state.value).toBe("thinking.backoff");
    clock.advance(1);
    expect(await run.settled()).toMatchObject({ status: "interrupted" });
    expect(run.state.limit).toMatchObject({ kind: "wall_time", max: 10_000 });
    expect(clock.pending).toBe(0);
    expect(server.requests).toHaveLength(1);
    expect(await run.resume()).toMatchObject({ accepted: false, reason: "limit" });
    expect(await run.resume(undefined, { budget: { wallMs: 60_000 } })).toMatchObject({ accepted: true });
    expect(await run.settled()).toMatchObject({ status: "done", output: "whole" });
    expect(server.requests).toHaveLength(2);
    expect(clock.pending).toBe(0);
    checkLog(await stored(log, run.id));
  });
});

describe("P30 P21 another process goes on with a wait", () => {
  async function crashed(passed: number, offset: number) {
    const folder = mkdtempSync(join(tmpdir(), "rubato-backoff-"));
    closing.push(() => rmSync(folder, { recursive: true, force: true }));
    const server = await serve([busy, whole]);
    const before = httpAgent([server], { log: fileLog(folder) });
    const run = before.agent.run("go", { runId: "r" });
    await inBackoff(run);
    // The first process hangs from here on: to the log that is the same as one that died.
    const clock = manualClock(1_700_000_000_000 + passed + offset);
    const log: EventLog = fileLog(folder);
    const after = httpAgent([server], { log, clock });
    closing.push(
      () => before.agent.close(),
      () => after.agent.close(),
    );
    const resumed = await after.agent.resume("r", undefined, { takeover: true });
    if (!resumed.accepted) throw new Error(resumed.reason);
    const due = async (ms: number): Promise<number> => {
      clock.advance(ms);
      await quietly();
      return server.requests.length;
    };
    return { server, clock, log, run: resumed.run, due };
  }

  it.each([
    ["goes on where it was, and does not begin anew", 12_000, 0, 18_000],
    ["is over where it ended meanwhile", 31_000, 0, 0],
    ["is over where the clock was set forward", 1_000, 86_400_000, 0],
    ["is no longer than it was to be where the clock was set back", 1_000, -86_400_000, 30_000],
  ])("it %s", async (_what, passed, offset, left) => {
    const { run, log, server, clock, due } = await crashed(passed, offset);
    if (left > 0) {
      expect(await due(left - 1)).toBe(1);
      expect(run.state.value).toBe("thinking.backoff");
      clock.advance(1);
    }
    expect(await run.settled()).toMatchObject({ status: "done", output: "whole" });
    expect(server.requests).toHaveLength(2);
    expect(clock.pending).toBe(0);
    const events = await stored(log, "r");
    expect(events.filter(({ type }) => type === "retry")).toHaveLength(1);
    checkLog(events);
  });
});

describe("the next model in the list", () => {
  async function listOf(...scripts: readonly (readonly Fault[])[]) {
    const servers = await Promise.all(scripts.map(serve));
    const made = httpAgent(servers);
    closing.push(() => made.agent.close());
    const run = made.agent.run("go");
    const asked = async (): Promise<string[]> =>
      (await eventsOf(made.log, run, "thinking")).map(({ data }) => `${data.model} ${data.step}.${data.attempt}`);
    return { ...made, run, asked, counts: () => servers.map(({ requests }) => requests.length) };
  }
  const refused: Fault = { status: 401, body: { error: { message: "bad key" } } };

  it("is asked at once where the first fails for good, and keeps the turn; the next turn begins with the first", async () => {
    const call = { index: 0, id: "x", function: { name: "nothing", arguments: "{}" } };
    const wantsTool: Fault = { frames: [deltaFrame({ tool_calls: [call] }, "tool_calls")], end: "done" };
    const { run, asked, counts, log, clock } = await listOf([refused, answer("first again")], [wantsTool, whole]);
    expect(await run.settled()).toMatchObject({ status: "done", output: "whole" });
    expect(await asked()).toEqual(["m1 1.1", "m2 1.2", "m2 2.1"]);
    expect(clock.pending).toBe(0);
    await run.send("more");
    expect(await run.settled()).toMatchObject({ status: "done", output: "first again" });
    expect((await asked()).at(-1)).toBe("m1 3.1");
    expect(counts()).toEqual([2, 2]);
    expect((await eventsOf(log, run, "retry")).map(({ data }) => data)).toMatchObject([{ fallback: 1, delayMs: 0 }]);
    // It is not the end of the turn.
    expect((await eventsOf(log, run, "error")).map(({ data }) => data.severity)).toEqual(["medium"]);
    checkLog(await stored(log, run.id));
  });

  it("is asked when the first has used up its retries, with retries of its own", async () => {
    const { run, asked, counts, clock, log } = await listOf([down, down, down, down], [down, down, down, whole]);
    expect(await withoutWaits(run, clock)).toMatchObject({ status: "done", output: "whole" });
    expect(await asked()).toEqual(
      [1, 2, 3, 4, 5, 6, 7, 8].map((attempt) => `${attempt <= 4 ? "m1" : "m2"} 1.${attempt}`),
    );
    expect(counts()).toEqual([4, 4]);
    expect((await eventsOf(log, run, "retry")).map(({ data }) => data.delayMs)).toEqual([
      250, 500, 1_000, 0, 250, 500, 1_000,
    ]);
    checkLog(await stored(log, run.id));
  });

  it("all of them fail: the turn fails with the last error, and resume begins with the first", async () => {
    const { run, asked, counts, clock, log } = await listOf([refused, whole], [down, down, down, down], [refused]);
    expect(await withoutWaits(run, clock)).toMatchObject({
      status: "failed",
      error: { message: expect.stringContaining("401") },
    });
    expect(counts()).toEqual([1, 4, 1]);
    expect((await eventsOf(log, run, "error")).map(({ data }) => data.severity)).toEqual([
      "medium",
      "medium",
      "medium",
      "medium",
      "medium",
      "high",
    ]);
    await run.resume();
    expect(await run.settled()).toMatchObject({ status: "done", output: "whole" });
    expect((await asked()).at(-1)).toBe("m1 2.1");
    checkLog(await stored(log, run.id));
  });

  it("takes nothing over from an answer that the first one broke off", async () => {
    const half: Fault = {
      frames: [deltaFrame({ content: "half" }), { error: { code: 400, message: "no" } }],
      end: "done",
    };
    const { run, log } = await listOf([half], [whole]);
    expect(await run.settled()).toMatchObject({ status: "done", output: "whole" });
    expect(run.state.messages).toMatchObject([{ role: "user" }, { role: "assistant", content: "whole" }]);
    expect((await eventsOf(log, run, "retry")).map(({ data }) => data)).toMatchObject([{ fallback: 1, superseded: 4 }]);
    checkLog(await stored(log, run.id));
  });
});

describe("P30 a storm", () => {
  it("100 runs at an endpoint that is down for a minute: no more requests than runs, bucket and refill", async () => {
    const capacity = 50;
    const clock = manualClock();
    let up = false;
    const server = await listen((_request, response) => {
      response.writeHead(up ? 200 : 503, { "content-type": up ? "text/event-stream" : "application/json" });
      response.end(up ? `data: ${JSON.stringify(deltaFrame({ content: "up" }, "stop"))}\n\ndata: [DONE]\n\n` : "{}");
    });
    closing.push(() => server.close());
    const bucket = retryBucket({ capacity });
    let draws = 0;
    const { agent } = httpAgent([server], {
      clock,
      random: () => ((draws++ % 97) + 1) / 98,
      retry: { retries: 100, maxMs: 5_000, bucket },
    });
    closing.push(() => agent.close());
    const runs = Array.from({ length: 100 }, () => agent.run("go"));
    const waiting = (): number => runs.filter(({ state }) => state.value === "thinking.backoff").length;
    const settled = async (): Promise<void> => {
      while (runs.some(({ state }) => state.value !== "thinking.backoff" && state.status !== "failed")) await quietly();
    };
    await settled();
    expect(server.requests).toHaveLength(100);
    const seconds = 60;
    for (let second = 0; second < seconds; second++) {
      clock.advance(1_000);
      await settled();
    }
    const total = server.requests.length;
    expect(total).toBeLessThanOrEqual(100 + capacity + seconds);
    // Some of them did wait and ask: the bucket is what stopped the others.
    expect(total).toBeGreaterThan(100 + capacity / 2);
    expect(waiting()).toBeLessThan(100);
    up = true;
    clock.advance(10_000);
    for (const run of runs) expect(["done", "failed"]).toContain((await run.settled()).status);
    expect(clock.pending).toBe(0);
  });

  it("says so, and another agent has the same bucket", async () => {
    const bucket = retryBucket({ capacity: 1, refillPerSecond: 0 });
    const first = await start([down, whole], { retry: { bucket } });
    expect(await withoutWaits(first.run, first.clock)).toMatchObject({ status: "done" });
    const second = await start([down, whole], { retry: { bucket } });
    expect(await second.run.settled()).toMatchObject({
      status: "failed",
      error: { message: expect.stringMatching(/503.* used up its retries for now/) },
    });
    expect(second.server.requests).toHaveLength(1);
    expect(bucket.available(0)).toBe(0);
  });
});

/** A turn of the event loop, in which sockets get on. */
async function quietly(): Promise<void> {
  await new Promise<void>((resolve) => {
    setImmediate(resolve);
  });
}
