import { createServer } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { createAgent, pause, scriptedModel } from "rubato";
import { createClient, RubatoError, type ClientRun } from "rubato/client";
import { serve } from "rubato/server";
import { Silence } from "../../runtime/client/silence.ts";
import { backoffMs } from "../../runtime/client/backoff.ts";
import { retryAfterMs } from "../../runtime/retry-after.ts";
import type { Clock } from "../../runtime/clock.ts";
import { manualClock } from "../support/manual-clock.ts";
import { eventually, finished, served } from "../server/served.ts";
import { open } from "../server/wire.ts";
import { openCount } from "./follow.ts";
import { clientTo, collect, line, TRANSPORTS } from "./support.ts";

const DEFAULTS = { attempts: 5, minMs: 1_000, maxMs: 30_000 };

/** Follows its state, as a page does. */
function watch(run: ClientRun): void {
  onTestFinished(run.onChange(() => {}));
}

describe.each(TRANSPORTS)("reconnecting over %s", (transport) => {
  it("P31 is tried five times, each time after a longer wait with jitter, and then it is an error", async () => {
    const clock = manualClock();
    const refused = await line(1, () => 0);
    const client = clientTo(refused.url, { clock, random: () => 0.5, reconnect: {}, transport });
    const run = client.attach("r1");
    const reading = collect(run).catch((error: unknown) => error);
    for (const [index, wait] of [1_500, 2_500, 4_500, 8_500, 15_500].entries()) {
      await eventually(() => run.connection.status === "reconnecting" && run.connection.attempt === index + 1);
      clock.advance(wait - 1);
      expect(run.connection.status).toBe("reconnecting");
      clock.advance(1);
      expect(run.connection.status).toBe("connecting");
    }
    const error = await reading;
    expect(error).toBeInstanceOf(RubatoError);
    expect(error).toMatchObject({ code: "disconnected", message: expect.stringContaining("5 attempts") });
    expect(run.connection).toMatchObject({ status: "failed", error });
    expect(clock.pending).toBe(0);
  });

  it("begins to count anew when an event came", async () => {
    const gate = pause();
    const it = await served({ model: scriptedModel([["one ", gate, "two"]]) });
    it.agent.run("talk", { runId: "r1" });
    await gate.reached;
    // The first socket that is refused is followed by what may say why, and that is kept to.
    const through = transport === "sse" ? 6 : 7;
    const proxy = await line(it.server.port, (count) => (count === through || count > through + 4 ? Infinity : 0));
    const run = clientTo(proxy.url, { transport }).attach("r1");
    const attempts: number[] = [];
    onTestFinished(run.onChange(() => attempts.push(run.connection.attempt)));
    await eventually(() => run.state.seq > 0 || run.connection.status === "failed");
    expect(Math.max(...attempts)).toBe(5);
    proxy.cut();
    gate.open();
    await eventually(() => run.state.status === "done" || run.connection.status === "failed");
    expect(run.connection.error).toBeUndefined();
    expect(attempts.lastIndexOf(5), "twice").toBeGreaterThan(attempts.indexOf(0, attempts.indexOf(5)));
  });

  it("waits as long as the server says (Retry-After), and goes on when there is room", async () => {
    const it = await served({}, { limits: { connections: 1 } });
    await finished(it, "r1");
    const other = await open(`${it.url}/runs/r1/events`);
    const clock = manualClock();
    const run = clientTo(it.url, { clock, reconnect: {}, transport }).attach("r1");
    watch(run);
    await eventually(() => run.connection.status === "reconnecting");
    clock.advance(4_999);
    expect(run.connection.status).toBe("reconnecting");
    other.cut();
    await eventually(async () => (await openCount(it)) === 0);
    clock.advance(1);
    await eventually(() => run.state.status === "done");
  });

  it("finds the server again that was shut down and begun anew", async () => {
    const gate = pause();
    const agent = createAgent({ name: "test", model: scriptedModel([["one ", gate, "two"]]) });
    const first = await serve({ agents: agent, port: 0, closeAgents: false });
    const run = clientTo(first.url, { transport, reconnect: { minMs: 20, maxMs: 100, attempts: 50 } }).attach("r1");
    agent.run("talk", { runId: "r1" });
    const reading = collect(run);
    await eventually(() => run.state.partial?.text === "one ");
    await first.close();
    const second = await serve({ agents: agent, port: first.port });
    onTestFinished(() => second.close());
    gate.open();
    const events = await reading;
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, at) => at + 1));
    expect(run.state.output).toBe("one two");
  });

  it("comes again at once where the server ends a stream that is too old", async () => {
    const clock = manualClock();
    const gate = pause();
    const it = await served(
      { model: scriptedModel([["one ", gate, "two"]]) },
      { clock, maxConnectionMs: 60_000, heartbeatMs: 120_000 },
    );
    const started = it.agent.run("talk", { runId: "r1" });
    const own = manualClock();
    const run = clientTo(it.url, { transport, reconnect: {}, clock: own }).attach("r1");
    watch(run);
    await eventually(() => run.state.partial?.text === "one ");
    clock.advance(60_000);
    await eventually(() => run.connection.status === "reconnecting");
    // Nothing but a wait of 0 ends on a clock that stands still.
    own.advance(0);
    gate.open();
    await started.settled();
    await eventually(() => run.state.output === "one two");
  });

  it("does not fight: a newer stream of the same client ends the older one for good", async () => {
    const it = await served();
    await finished(it, "r1");
    const options = { transport, clientId: "tab-1" };
    const older = clientTo(it.url, options).attach("r1");
    watch(older);
    await eventually(() => older.state.status === "done");
    const newer = clientTo(it.url, options).attach("r1");
    watch(newer);
    await eventually(() => older.connection.status === "failed");
    expect(older.connection.error).toMatchObject({ code: "superseded" });
    await eventually(() => newer.state.status === "done");
    expect(newer.connection.status).toBe("open");
    expect(await openCount(it)).toBe(1);
  });

  it.each([
    ["a wrong token", "r1", "another-token-of-16", "unauthorized"],
    ["a run that is not there", "r2", "the-right-token-of-16", "unknown_run"],
  ])("is not tried for %s", async (_what, runId, token, code) => {
    const it = await served({}, { token: "the-right-token-of-16" });
    await finished(it, "r1");
    const proxy = await line(it.server.port);
    const run = clientTo(proxy.url, { transport, token, reconnect: {} }).attach(runId);
    await expect(collect(run)).rejects.toMatchObject({ code });
    await expect(run.interrupt()).rejects.toMatchObject({ code });
    expect(run.connection.error?.message).not.toContain(token);
    expect(proxy.count()).toBeLessThanOrEqual(3);
  });

  it("P29 P31 a line that falls silent for two heartbeats is dead", async () => {
    const gate = pause();
    const it = await served({ model: scriptedModel([["one ", gate, "two"]]) });
    it.agent.run("talk", { runId: "r1" });
    const proxy = await line(it.server.port);
    const clock = manualClock();
    const run = clientTo(proxy.url, { transport, clock, random: () => 0, reconnect: {} }).attach("r1");
    watch(run);
    await eventually(() => run.state.partial?.text === "one ");
    proxy.freeze();
    clock.advance(29_999);
    expect(run.connection.status).toBe("open");
    clock.advance(1);
    expect(run.connection).toMatchObject({ status: "reconnecting", attempt: 1 });
    gate.open();
    clock.advance(1_000);
    await eventually(() => run.state.output === "one two");
  });

  it("P31 a server that takes the line and never answers is given up", async () => {
    const silent = createServer(() => {});
    await new Promise<void>((resolve) => {
      silent.listen(0, "127.0.0.1", resolve);
    });
    const address = silent.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const clock = manualClock();
    const client = createClient({
      url: `http://127.0.0.1:${port}`,
      clock,
      transport,
      reconnect: { attempts: 0 },
    });
    const reading = collect(client.attach("r1")).catch((error: unknown) => error);
    clock.advance(10_000);
    await Promise.resolve();
    clock.advance(10_000);
    expect(await reading).toMatchObject({ code: "disconnected" });
    const asked = client.attach("r1").interrupt();
    asked.catch(() => {});
    await eventually(() => clock.pending > 0);
    clock.advance(120_000);
    await expect(asked).rejects.toMatchObject({ code: "unknown_outcome" });
    expect(clock.pending).toBe(0);
    client.close();
    silent.close();
  });
});

describe("how long it waits", () => {
  it("is anything from 1 s to a bound that doubles, 30 s at most", () => {
    const bounds = [1, 2, 3, 4, 5, 6].map((attempt) => [
      backoffMs(DEFAULTS, attempt, () => 0),
      backoffMs(DEFAULTS, attempt, () => 1),
    ]);
    expect(bounds.map(([least]) => least)).toEqual([1_000, 1_000, 1_000, 1_000, 1_000, 1_000]);
    expect(bounds.map(([, most]) => most)).toEqual([2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  });

  it("takes Retry-After in seconds and as a date, and nothing absurd", () => {
    const now = Date.parse("2026-01-01T00:00:00Z");
    expect(retryAfterMs("5", now)).toBe(5_000);
    expect(retryAfterMs("Thu, 01 Jan 2026 00:00:07 GMT", now)).toBe(7_000);
    for (const absurd of [null, "", "-5", "999999", "soon", "Thu, 01 Jan 2015 00:00:07 GMT"]) {
      expect(retryAfterMs(absurd, now)).toBeUndefined();
    }
  });
});

describe("silence in a page that is hidden", () => {
  /** Rings once a minute at most, as browsers do. */
  function throttled(clock: ReturnType<typeof manualClock>): Clock {
    return { ...clock, timer: (ms, callback) => clock.timer(Math.max(ms, 60_000), callback) };
  }

  it("is not taken for death while signs of life come", () => {
    const clock = manualClock();
    let dead = 0;
    const silence = new Silence({ clock: throttled(clock), heartbeatMs: 15_000, onDead: () => dead++ });
    for (let minute = 0; minute < 40; minute++) {
      clock.advance(15_000);
      silence.alive();
    }
    expect(dead).toBe(0);
  });

  it("is death when nothing comes after the timer that rang too late", () => {
    const clock = manualClock();
    let dead = 0;
    const silence = new Silence({ clock: throttled(clock), heartbeatMs: 15_000, onDead: () => dead++ });
    clock.advance(60_000);
    expect(dead).toBe(0);
    clock.advance(60_000);
    expect(dead).toBe(1);
    silence.stop();
    expect(clock.pending).toBe(0);
  });
});
