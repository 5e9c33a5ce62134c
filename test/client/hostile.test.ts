import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Event } from "rubato";
import { manualClock } from "../support/manual-clock.ts";
import { eventually, finished, served } from "../server/served.ts";
import { addressOf, clientTo, collect } from "./support.ts";

const frame = (event: unknown, seq = 1): string => `id: ${seq}\nevent: x\ndata: ${JSON.stringify(event)}\n\n`;

/** What the n-th stream says, on a server that is asked for a rest as well. */
function saying(
  all: readonly Event[],
  streams: readonly string[],
): { readonly fetch: typeof fetch; readonly cursors: number[] } {
  const cursors: number[] = [];
  const answer: typeof fetch = (input) => {
    const url = new URL(addressOf(input));
    if (!url.pathname.endsWith("/events")) {
      return Promise.resolve(Response.json({ runId: "r1", seq: all.length, owned: false }));
    }
    const text = streams[cursors.length] ?? "";
    cursors.push(Number(url.searchParams.get("after")));
    return Promise.resolve(new Response(text, { headers: { "content-type": "text/event-stream" } }));
  };
  return { fetch: answer, cursors };
}

async function golden(): Promise<readonly Event[]> {
  const it = await served();
  await finished(it, "r1");
  return it.events("r1");
}

const said = (events: readonly Event[]): string => events.map((event) => frame(event, event.seq)).join("");

describe("what a server must not say", () => {
  it("P26 twice, out of order, with a hole, of another run, or in pieces: a loop gives exactly the log all the same", async () => {
    const all = await golden();
    const { fetch, cursors } = saying(all, [
      said(all.slice(0, 5)) + said(all.slice(2, 5)) + said(all.slice(5, 8)),
      said(all.slice(3, 10)) + said(all.slice(20)),
      `${said(all.slice(10, 12))}data: {"seq":13\n\n`,
      said(all.slice(12, 14)) + frame({ ...all[14], runId: "r2" }),
      said(all.slice(14, 16)) + frame({ ...all[16], type: "token_stream", data: { __proto__: null } }),
      `: comment\nid: 99\nretry: 5\nevent: nothing\n\n${said(all.slice(16, 20)).slice(0, -1)}`,
      said(all.slice(19)).replaceAll("\n", "\r\n"),
    ]);
    const run = clientTo("http://127.0.0.1:1", { fetch, transport: "sse" }).attach("r1");
    expect(await collect(run)).toEqual(all);
    expect(cursors).toEqual([0, 8, 10, 12, 14, 16, 19]);
    expect(run.state.status).toBe("done");
  });

  it("again and again: it is an error that says so", async () => {
    const all = await golden();
    const { fetch, cursors } = saying(
      all,
      Array.from({ length: 20 }, () => frame(all[7])),
    );
    const run = clientTo("http://127.0.0.1:1", { fetch }).attach("r1");
    await expect(collect(run)).rejects.toMatchObject({ code: "disconnected", cause: { code: "protocol" } });
    expect(cursors).toHaveLength(6);
  });

  it("what does not fold, or was written by a newer version, ends it at once", async () => {
    const all = await golden();
    const [start, ...rest] = all;
    const newer = { ...start, data: { ...start?.data, schema: 99 } };
    const run = clientTo("http://127.0.0.1:1", { fetch: saying(all, [frame(newer) + said(rest)]).fetch }).attach("r1");
    await expect(collect(run)).rejects.toMatchObject({ code: "newer_schema" });
    const twice = [...all.slice(0, 2), { ...all[1], seq: 3 }];
    const text = twice.map((event) => frame(event)).join("");
    const other = clientTo("http://127.0.0.1:1", { fetch: saying(all, [text]).fetch }).attach("r1");
    await expect(collect(other)).rejects.toMatchObject({ code: "log" });
    expect(other.connection.status).toBe("failed");
  });

  it("P31 that the client come again at once, at once: it waits", async () => {
    const all = await golden();
    const { fetch, cursors } = saying(
      all,
      Array.from({ length: 50 }, () => ": end max_connection\n\n"),
    );
    const clock = manualClock();
    const client = clientTo("http://127.0.0.1:1", { fetch, clock, reconnect: { minMs: 1_000, maxMs: 1_000 } });
    const run = client.attach("r1");
    run.onChange(() => {});
    for (let count = 1; count <= 3; count++) {
      await eventually(() => run.connection.status === "reconnecting");
      expect(cursors).toHaveLength(count);
      clock.advance(999);
      expect(cursors).toHaveLength(count);
      clock.advance(1);
    }
  });

  it("without an end: an answer is given up when it is too long, and an error is one all the same", async () => {
    let sent = 0;
    const url = await listening((request, response) => {
      const good = request.method === "GET" && request.url?.includes("events") === false;
      response.writeHead(good ? 200 : 404, { "content-type": "application/json" });
      const more = (): void => {
        while (!response.destroyed && response.write(" ".repeat(65_536))) sent += 65_536;
      };
      response.on("drain", more);
      more();
    });
    const client = clientTo(url, { transport: "sse", commandMs: 2_147_483_647, connectMs: 2_147_483_647 });
    await expect(client.start("a task")).rejects.toMatchObject({ code: "refused" });
    await expect(collect(client.attach("r1"))).rejects.toMatchObject({ code: "refused" });
    await expect(client.runs()).rejects.toMatchObject({ code: "protocol" });
    expect(sent).toBeLessThan(100_000_000);
  });

  it("elsewhere: neither the token, nor a header, nor the task goes to where it points", async () => {
    const asked: string[] = [];
    const other = await listening((_request, response) => {
      asked.push("elsewhere");
      response.end("{}");
    });
    for (const status of [301, 302, 303, 307, 308]) {
      const url = await listening((request, response) => {
        asked.push(request.url ?? "");
        response.writeHead(status, { location: `${other}${request.url}` }).end();
      });
      const client = clientTo(url, { token: "t".repeat(16), headers: { "X-Api-Key": "secret-key" }, transport: "sse" });
      await expect(client.start("a task")).rejects.toMatchObject({ code: "refused" });
      await expect(client.runs()).rejects.toMatchObject({ code: "refused" });
      await expect(collect(client.attach("r1"))).rejects.toMatchObject({ code: "refused" });
    }
    expect(asked).toHaveLength(15);
    expect(asked).not.toContain("elsewhere");
  });
});

async function listening(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("a server without an address");
  return `http://127.0.0.1:${address.port}`;
}
