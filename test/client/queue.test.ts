import { describe, expect, it, onTestFinished, vi } from "vitest";
import { pause, scriptedModel, type Event, type EventLog } from "rubato";
import { encodeState } from "rubato/machines";
import { manualClock } from "../support/manual-clock.ts";
import { eventually, finished, served, type Served } from "../server/served.ts";
import { floodedLog } from "../server/flooded-log.ts";
import { openCount } from "./follow.ts";
import { clientTo, collect, line, plainFetch, TRANSPORTS } from "./support.ts";

let long: Promise<EventLog> | undefined;
function longRun(): Promise<EventLog> {
  return (long ??= floodedLog(3_200));
}

/** Turns of the event loop in which more would come if it could. */
async function quiet(of: () => number): Promise<number> {
  for (let same = 0, last = of(); same < 25; same = of() === last ? same + 1 : 0, last = of()) {
    await new Promise((resolve) => {
      setTimeout(resolve, 4);
    });
  }
  return of();
}

describe.each(TRANSPORTS)("over %s", (transport) => {
  it("P27 a loop that stops reading stops the line, and later gets everything", async () => {
    const it = await served({ log: await longRun() });
    // Compressed it would all fit into what the system buffers.
    const proxy = await line(it.server.port);
    const run = clientTo(proxy.url, { transport, fetch: plainFetch, queue: { events: 50 } }).attach("r1");
    const events = run.events();
    const got: Event[] = [];
    for (let count = 0; count < 3; count++) {
      const { value } = await events.next();
      if (value !== undefined) got.push(value);
    }
    await quiet(proxy.passed);
    expect(proxy.passed()).toBeLessThan(20_000_000);
    // What one read brings comes on top of the bound.
    expect(run.connection.behind).toBeLessThan(50 + 64);
    expect(run.connection.status).toBe("open");
    if (transport === "sse") {
      // P28: whoever comes to watch is not held back by it.
      const stop = run.onChange(() => {});
      await eventually(() => run.state.status === "done");
      stop();
    }
    got.push(...(await collect(events)));
    expect(got).toEqual(await it.events("r1"));
  });

  it("P28 a slow loop does not hold back who watches the state, and gets everything by a line of its own", async () => {
    const it = await served();
    await finished(it, "r1");
    const run = clientTo(it.url, { transport, queue: { events: 5 } }).attach("r1");
    const events = run.events();
    const first = await events.next();
    onTestFinished(run.onChange(() => {}));
    await eventually(() => run.state.status === "done");
    expect(run.connection.status).toBe("open");
    const rest = await collect(events);
    expect([first.value, ...rest]).toEqual(await it.events("r1"));
  });

  it("a rest is found also where others join while the server is asked about it", async () => {
    // Without a heartbeat that would have it ask again.
    const it = await served({}, { heartbeatMs: 2_000_000_000 });
    await finished(it, "r1");
    const run = clientTo(it.url, { transport }).attach("r1");
    for (let time = 0; time < 20; time++) {
      const resting = run.settled();
      for (let turn = 0; turn < time; turn++) await new Promise(setImmediate);
      const others = [run.events({ follow: true, from: run.state.seq }), run.events({ follow: true })];
      expect(await resting).toMatchObject({ status: "done" });
      for (const other of others) await other.return?.();
    }
  });

  it("P26 a loop that begins in the middle, another that begins later, types and follow", async () => {
    const it = await served({ model: scriptedModel(["one", "two"]) });
    await it.agent.run("talk", { runId: "r1" }).settled();
    const all = await it.events("r1");
    const client = clientTo(it.url, { transport });
    expect(await collect(client.attach("r1", { after: 3 }))).toEqual(all.slice(3));
    expect(await collect(client.attach("r1", { after: 10_000 }))).toEqual([]);
    const run = client.attach("r1", {
      types: ["user_input", "thi_*".replace("thi", "tool") === "tool_*" ? "tool_*" : "*"],
    });
    expect(await collect(run)).toEqual(all.filter(({ type }) => type === "user_input"));
    expect(await collect(run.events({ from: 2 }))).toEqual(all.slice(2));
    const following = run.events({ follow: true, from: all.length });
    const next = following.next();
    await run.send("more");
    expect((await next).value).toMatchObject({ type: "user_input", seq: all.length + 1 });
    const controller = new AbortController();
    const heard: Event[] = [];
    const aborted = (async () => {
      for await (const event of run.events({ follow: true, signal: controller.signal })) heard.push(event);
    })();
    await eventually(() => heard.length > all.length);
    controller.abort();
    await aborted;
    await following.return?.();
    expect(run.connection.status).toBe("idle");
  });

  it("P26 a client whose cursor lies in a range that was pruned meanwhile goes on with the rest of it", async () => {
    const gate = pause();
    const it = await served({ model: scriptedModel([["one ", "two ", gate, "three ", "four"], "more"]) });
    const started = it.agent.run("talk", { runId: "r1" });
    const run = clientTo(it.url, { transport }).attach("r1");
    const stop = run.onChange(() => {});
    await eventually(() => run.state.partial?.text === "one two ");
    stop();
    const seen = run.state.seq;
    gate.open();
    await started.settled();
    await it.agent.close();
    await it.log.prune("r1");
    await eventually(async () => (await openCount(it)) === 0);
    const rest = await collect(run.events({ from: seen }));
    expect(rest[0]).toMatchObject({ type: "gap", data: { from: seen + 1, digest: "" } });
    const whole = clientTo(it.url, { transport }).attach("r1");
    expect(await collect(whole)).toEqual(await it.events("r1"));
    expect(encodeState(run.state)).toBe(encodeState(whole.state));
    expect(run.state.output).toBe("one two three four");
  });
});

it("P26 a socket whose server cannot read the log when the reading stops or goes on is not left standing", async () => {
  const inner = await longRun();
  let broken = 0;
  const it = await served({
    log: {
      ...inner,
      head(runId) {
        if (broken === 0) return inner.head(runId);
        broken--;
        throw new Error("the disk is gone");
      },
    },
  });
  const run = clientTo(it.url, { transport: "websocket", queue: { events: 50 } }).attach("r1");
  const seqs: number[] = [];
  const { seq: last } = await inner.head("r1");
  // One that does not ask whether the run rests.
  for await (const { seq } of run.events({ follow: true })) {
    seqs.push(seq);
    if (seq === last) break;
    if (seq !== 1) continue;
    broken = 1;
    await eventually(() => it.errors.length > 0 && run.connection.status === "open");
  }
  expect(seqs).toEqual(Array.from({ length: last }, (_, index) => index + 1));
});

describe("P33 (case 36) a client that was closed", () => {
  it.each(TRANSPORTS)("over %s leaves no timer, no listener, no socket, wherever it was", async (transport) => {
    const gate = pause();
    const it = await served({ model: scriptedModel((_request, index) => [`${index} `, gate]) });
    it.agent.run("talk", { runId: "r1" });
    const clock = manualClock();
    const controller = new AbortController();
    const refused = await line(1, () => 0);
    const listeners = countListeners(controller.signal);
    const ways: readonly ((it: Served) => Promise<void>)[] = [
      // While it connects.
      async () => {
        const run = clientTo(it.url, { transport, clock }).attach("r1", { signal: controller.signal });
        run.onChange(() => {});
        run.close();
      },
      // In a loop that waits.
      async () => {
        const run = clientTo(it.url, { transport, clock }).attach("r1", { signal: controller.signal });
        const reading = collect(run);
        await eventually(() => run.state.partial !== undefined);
        run.close();
        expect((await reading).length).toBeGreaterThan(2);
      },
      // While it waits for the next attempt.
      async () => {
        const run = clientTo(refused.url, { transport, clock, reconnect: {} }).attach("r1");
        const reading = collect(run);
        await eventually(() => run.connection.status === "reconnecting");
        run.close();
        expect(await reading).toEqual([]);
      },
      // Its client, with a command under way and one that waits to be repeated.
      async () => {
        const client = clientTo(it.url, { transport, clock });
        const run = client.attach("r1", { signal: controller.signal });
        run.onChange(() => {});
        await eventually(() => run.connection.status === "open");
        const waiting = clientTo(refused.url, { clock, reconnect: {} });
        const send = expect(waiting.attach("r1").send("x")).rejects.toMatchObject({ code: "closed" });
        const settled = expect(run.settled()).rejects.toMatchObject({ code: "closed" });
        await eventually(async () => (await openCount(it)) > 0);
        client.close();
        waiting.close();
        await Promise.all([send, settled]);
        expect(() => client.attach("r1")).toThrow(expect.objectContaining({ code: "closed" }));
        expect(() => run.events()).toThrow(expect.objectContaining({ code: "closed" }));
      },
      // From within a listener.
      async () => {
        const run = clientTo(it.url, { transport, clock }).attach("r1", { signal: controller.signal });
        run.onChange(() => {
          if (run.state.seq > 0) run.close();
        });
        await eventually(() => run.connection.status === "closed");
      },
    ];
    for (const way of ways) {
      await way(it);
      await eventually(async () => (await openCount(it)) === 0);
      await eventually(() => clock.pending === 0);
      // Of a signal that outlives the run.
      expect(listeners()).toBeLessThanOrEqual(1);
    }
    gate.open();
  });

  it("a hundred loops that are left leave the process as it was", async () => {
    const it = await served({ model: scriptedModel([["one ", pause()]]) });
    it.agent.run("talk", { runId: "r1" });
    const client = clientTo(it.url);
    const run = client.attach("r1");
    const once = async (): Promise<void> => {
      for await (const event of run) if (event.type === "token_stream" || event.seq > 3) break;
    };
    await once();
    const count = (): number =>
      process.getActiveResourcesInfo().filter((name) => /TCPSocketWrap|Timeout/.test(name)).length;
    const before = count();
    for (let time = 0; time < 100; time++) await once();
    await eventually(async () => (await openCount(it)) === 0);
    await eventually(() => count() <= before + 2);
  });
});

/** Listeners that were added to a signal and not removed. */
function countListeners(signal: AbortSignal): () => number {
  const added = vi.spyOn(signal, "addEventListener");
  const removed = vi.spyOn(signal, "removeEventListener");
  return () => added.mock.calls.length - removed.mock.calls.length;
}
