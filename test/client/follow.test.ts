import { describe, expect, it } from "vitest";
import { pause, scriptedModel, type Event } from "rubato";
import { encodeState } from "rubato/machines";
import { stateAt } from "rubato";
import { eventually, finished, served, type Served } from "../server/served.ts";
import { openCount } from "./follow.ts";
import { clientTo, collect, line, TRANSPORTS } from "./support.ts";

async function expectWhole(it: Served, got: readonly Event[], state: Parameters<typeof encodeState>[0]): Promise<void> {
  const [first] = got;
  const runId = first?.runId ?? "";
  const all = await it.events(runId);
  expect(got).toEqual(all);
  expect(encodeState(state)).toBe(encodeState(await stateAt(it.log, runId, all.length)));
}

describe.each(TRANSPORTS)("over %s", (transport) => {
  it("P26 a run that is begun here gives exactly its log, ends at its rest, and folds to the server's state", async () => {
    const it = await served();
    const client = clientTo(it.url, { transport });
    const run = await client.start("What is the average temperature?", { metadata: { user: "u1" } });
    await expectWhole(it, await collect(run), run.state);
    expect(run.state.status).toBe("done");
    expect(run.connection).toMatchObject({ status: "idle", attempt: 0, transport, behind: 0 });
    expect(it.errors).toEqual([]);
  });

  it("P26 a line that is cut somewhere, also within a frame, is not seen", async () => {
    const it = await served();
    await finished(it, "r1");
    let cuts = 0;
    for (let bytes = 200; bytes < 2_400; bytes += 311) {
      const proxy = await line(it.server.port, (count) => (count === 1 ? bytes : Infinity));
      const run = clientTo(proxy.url, { transport }).attach("r1");
      await expectWhole(it, await collect(run), run.state);
      if (proxy.count() > 2) cuts++;
    }
    expect(cuts).toBeGreaterThan(3);
  });

  it("P26 a line that is cut again and again while the run works gives exactly its log", async () => {
    const gates = Array.from({ length: 6 }, () => pause());
    const it = await served({ model: scriptedModel([gates.flatMap((gate, at) => [`${at} `.repeat(40), gate])]) });
    const proxy = await line(it.server.port, (count) => 900 * count ** 2);
    const run = it.agent.run("talk", { runId: "r1" });
    const remote = clientTo(proxy.url, { transport }).attach("r1");
    const reading = collect(remote);
    for (const gate of gates) {
      const { durableSeq } = run;
      gate.open();
      await eventually(() => run.durableSeq > durableSeq);
    }
    await expectWhole(it, await reading, remote.state);
    expect(proxy.count()).toBeGreaterThan(2);
  });

  it("P24 leaving the loop, an abort and close let the connection go, and the run goes on", async () => {
    const gate = pause();
    const it = await served({ model: scriptedModel([["one ", gate, "two"]]) });
    const client = clientTo(it.url, { transport });
    const controller = new AbortController();
    const run = await client.start("talk", { signal: controller.signal });
    for await (const event of run) if (event.type === "token_stream") break;
    expect(run.connection.status).toBe("idle");
    await eventually(async () => (await openCount(it)) === 0);
    const reading = collect(run);
    await eventually(async () => (await openCount(it)) === 1);
    controller.abort();
    expect((await reading).at(-1)?.type).not.toBe("done");
    expect(run.connection.status).toBe("closed");
    await eventually(async () => (await openCount(it)) === 0);
    gate.open();
    const again = client.attach(run.id);
    await again.settled();
    expect(again.state.output).toBe("one two");
  });
});
