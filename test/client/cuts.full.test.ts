import { describe, expect, it } from "vitest";
import { encodeState } from "rubato/machines";
import { stateAt, type Event } from "rubato";
import { finished, served } from "../server/served.ts";
import { clientTo, collect, line, plainFetch, TRANSPORTS } from "./support.ts";

describe.each(TRANSPORTS)("P26 I17 (case 35) over %s a line that is cut", (transport) => {
  it("behind every event and within every frame is not seen: exactly the log, and the server's state", async () => {
    const it = await served();
    await finished(it, "r1");
    const all = await it.events("r1");
    const state = encodeState(await stateAt(it.log, "r1", all.length));
    // Not compressed, so that there is a cut within each of the frames.
    let cuts = 0;
    for (let bytes = 1; bytes < 18_000; bytes += 61) {
      const proxy = await line(it.server.port, (count) => (count === 1 ? bytes : Infinity));
      const client = clientTo(proxy.url, { transport, fetch: plainFetch });
      const run = client.attach("r1");
      expect(await collect(run)).toEqual(all);
      expect(encodeState(run.state)).toBe(state);
      if (proxy.count() > 2) cuts++;
      client.close();
    }
    expect(cuts).toBeGreaterThan(150);
  });

  it("by whoever reads, behind every event, goes on there", async () => {
    const it = await served();
    await finished(it, "r1");
    const all = await it.events("r1");
    const run = clientTo(it.url, { transport }).attach("r1");
    for (let kept = 1; kept < all.length; kept++) {
      const got: Event[] = [];
      for await (const event of run) {
        got.push(event);
        if (event.seq === kept) break;
      }
      got.push(...(await collect(run.events({ from: kept }))));
      expect(got).toEqual(all);
    }
  });
});
