import { once } from "node:events";
import { connect } from "node:net";
import { describe, expect, it } from "vitest";
import { createAgent, pause, scriptedModel } from "rubato";
import { createHandler, serve, type AuthorizeRequest } from "rubato/server";
import { goldenModel } from "../support/golden-run.ts";
import { manualClock } from "../support/manual-clock.ts";
import { codeOf, eventually, finished, JSON_TYPE, object, post, raw, served } from "./served.ts";

const TOKEN = "correct-horse-battery";
const BEARER = { authorization: `Bearer ${TOKEN}` };
const UPGRADE = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
};

/** Every route, as a caller without credentials would try it. */
type Route = readonly [method: string, path: string, headers: Record<string, string>, body?: string | undefined];
const ROUTES: readonly Route[] = [
  ["POST", "/runs", JSON_TYPE, '{"task":"x"}'],
  ["GET", "/runs", {}],
  ["GET", "/runs/r1", {}],
  ["GET", "/runs/r1/state", {}],
  ["POST", "/runs/r1/commands", JSON_TYPE, '{"verb":"send","text":"x"}'],
  ["POST", "/runs/r1/tickets", JSON_TYPE, "{}"],
  ["GET", "/runs/r1/events", {}],
  ["GET", "/runs/r1/events", { accept: "application/x-ndjson" }],
  ["GET", "/runs/r1/socket", UPGRADE],
  ["GET", "/health", {}],
  ["GET", "/metrics", {}],
  ["GET", "/openapi.json", {}],
  ["GET", "/nix", {}],
];

function attempt(
  url: string,
  [method, path, headers, body]: (typeof ROUTES)[number],
  more: Record<string, string> = {},
) {
  return raw(url + path, { method, headers: { ...headers, ...more }, ...(body === undefined ? {} : { body }) });
}

describe("where it listens", () => {
  it("is 127.0.0.1, and elsewhere only with a token, in one sentence", async () => {
    const agent = createAgent({ name: "a", model: goldenModel() });
    for (const host of ["0.0.0.0", "::", "192.168.1.7", "example.org"]) {
      const refusal = serve({ agents: agent, port: 0, host });
      await expect(refusal).rejects.toMatchObject({ code: "invalid_option" });
      await expect(refusal).rejects.toThrow(
        /^Listening on \S+ lets others in, so it needs a token: serve\(\{ token \}\), or listen on 127\.0\.0\.1\.$/,
      );
    }
    const own = await serve({ agents: agent, port: 0 });
    expect(new URL(own.url).hostname).toBe("127.0.0.1");
    await own.close();
    const open = await serve({ agents: agent, port: 0, host: "0.0.0.0", token: TOKEN });
    expect((await raw(`http://127.0.0.1:${open.port}/health`)).status).toBe(401);
    expect((await raw(`http://127.0.0.1:${open.port}/health`, { headers: BEARER })).status).toBe(200);
    // Every address is its own, a name that somebody bound to one of them is not.
    expect(
      (await raw(`http://127.0.0.1:${open.port}/health`, { headers: { ...BEARER, host: "10.1.2.3:80" } })).status,
    ).toBe(200);
    expect(
      (await raw(`http://127.0.0.1:${open.port}/health`, { headers: { ...BEARER, host: "evil.example" } })).status,
    ).toBe(403);
    await open.close();
  });

  it("takes no token that could be guessed or that no header can carry, and does not say it", async () => {
    const agent = createAgent({ name: "a", model: goldenModel() });
    for (const token of ["", "short", "with a space in the middle", "späte-umlaute-im-token"]) {
      const refusal = serve({ agents: agent, port: 0, token });
      await expect(refusal).rejects.toThrow(/at least 16 visible ASCII/);
      if (token !== "") await expect(refusal).rejects.not.toThrow(token);
    }
  });
});

describe("a token", () => {
  it.for(ROUTES)("is asked for on %s %s", async (route) => {
    const it = await served({}, { token: TOKEN });
    await finished(it, "r1");
    const before = await it.events("r1");
    for (const authorization of [
      undefined,
      "Bearer",
      "Bearer wrong-token-of-some-length",
      `Basic ${TOKEN}`,
      TOKEN,
      `Bearer ${TOKEN}x`,
    ]) {
      const answer = await attempt(it.url, route, authorization === undefined ? {} : { authorization });
      expect(answer.status).toBe(401);
      expect(codeOf(answer.body)).toBe("unauthorized");
      expect(answer.headers["www-authenticate"]).toContain("Bearer");
    }
    // Nothing but the header, and no other place, opens a route.
    const [, path] = route;
    const elsewhere = await attempt(
      it.url,
      [route[0], `${path}?token=${TOKEN}&access_token=${TOKEN}`, route[2], route[3]],
      {
        cookie: `token=${TOKEN}`,
        "x-token": TOKEN,
      },
    );
    expect(elsewhere.status).toBe(401);
    expect(await it.events("r1")).toEqual(before);
    expect((await it.agent.runs()).length).toBe(1);
  });

  it("opens what it should", async () => {
    const it = await served({}, { token: TOKEN });
    await finished(it, "r1");
    expect((await raw(`${it.url}/runs`, { headers: BEARER })).status).toBe(200);
    expect((await raw(`${it.url}/runs`, { headers: { authorization: `bearer  ${TOKEN}` } })).status).toBe(200);
    const protocols = `rubato.v1, rubato.token.${Buffer.from(TOKEN).toString("base64url")}`;
    const socket = await raw(`${it.url}/runs/r1/socket`, {
      headers: { ...UPGRADE, "sec-websocket-protocol": protocols },
    });
    expect(socket.status).toBe(101);
    // What the browser is told back is not the token.
    expect(socket.headers["sec-websocket-protocol"]).toBe("rubato.v1");
    // Elsewhere that header is no credential: a page can set it nowhere, a proxy may pass it on.
    expect((await raw(`${it.url}/runs`, { headers: { "sec-websocket-protocol": protocols } })).status).toBe(401);
  });

  it("has a ticket stand for it, for the events of one run and a while", async () => {
    const clock = manualClock();
    const it = await served({ clock }, { token: TOKEN, clock, ticketMs: 60_000 });
    await finished(it, "r1");
    await finished(it, "r2");
    const { ticket, expiresAt } = await object(await post(`${it.url}/runs/r1/tickets`, {}, BEARER));
    expect(expiresAt).toBe(clock.now() + 60_000);
    const use = async (path: string): Promise<number> => (await raw(`${it.url}${path}`)).status;
    expect(String(ticket)).not.toContain(TOKEN);
    const good = `/runs/r1/events?follow=false&ticket=${String(ticket)}`;
    expect(await use(good)).toBe(200);
    // Again, as a browser does that comes back.
    expect(await use(good)).toBe(200);
    for (const path of ["/runs/r2/events", "/runs/r1", "/runs/r1/state", "/runs", "/metrics", "/runs/r1/socket"]) {
      expect(await use(`${path}?ticket=${String(ticket)}`)).toBe(401);
    }
    const command = await raw(`${it.url}/runs/r1/commands?ticket=${String(ticket)}`, {
      method: "POST",
      headers: JSON_TYPE,
      body: '{"verb":"cancel"}',
    });
    expect(command.status).toBe(401);
    const later = String(ticket).replace(/^\d+/, String(Number(expiresAt) + 1_000));
    for (const forged of [later, `${String(ticket)}x`, "1.x", "", String(ticket).slice(0, -1)]) {
      expect(await use(`/runs/r1/events?ticket=${forged}`)).toBe(401);
    }
    clock.advance(60_000);
    expect(await use(good)).toBe(401);
  });
});

describe("a page in a browser", () => {
  it.for(ROUTES)("of a host that was bound to our address gets nothing: %s %s", async (route) => {
    const it = await served();
    await finished(it, "r1");
    for (const host of [
      "evil.example",
      `evil.example:${it.server.port}`,
      "localhost.evil.example",
      "127.0.0.1.nip.io",
      "localhost.",
    ]) {
      // Rebinding: the page's own origin equals the host that it asks.
      const answer = await attempt(it.url, route, { host, origin: `http://${host}` });
      expect([host, answer.status]).toEqual([host, 403]);
      expect(codeOf(answer.body)).toBe("forbidden_host");
    }
    expect((await it.events("r1")).at(-1)?.type).toBe("done");
    expect((await it.agent.runs()).length).toBe(1);
  });

  it.for(ROUTES)("of a foreign origin, or of none, gets nothing: %s %s", async (route) => {
    const it = await served();
    await finished(it, "r1");
    const { port } = it.server;
    for (const origin of [
      "http://evil.example",
      "null",
      `http://localhost:${port + 1}`,
      "file://",
      "",
      `ftp://127.0.0.1:${port}`,
    ]) {
      const answer = await attempt(it.url, route, { origin });
      expect([origin, answer.status]).toEqual([origin, 403]);
      expect(codeOf(answer.body)).toBe("forbidden_origin");
      expect(answer.headers["access-control-allow-origin"]).toBeUndefined();
    }
    expect((await it.agent.runs()).length).toBe(1);
  });

  it("of our own origin is served, and one that was named, by its name and never by *", async () => {
    const it = await served({}, { origins: ["https://app.example/"] });
    const { port } = it.server;
    const same = await raw(`${it.url}/runs`, {
      headers: { host: `localhost:${port}`, origin: `http://localhost:${port}` },
    });
    expect(same.status).toBe(200);
    const named = await raw(`${it.url}/runs`, { headers: { origin: "https://app.example" } });
    expect([named.status, named.headers["access-control-allow-origin"]]).toEqual([200, "https://app.example"]);
    expect(named.headers["vary"]).toContain("Origin");
    const asked = {
      method: "OPTIONS",
      headers: { origin: "https://app.example", "access-control-request-method": "POST" },
    };
    const preflight = await raw(`${it.url}/runs`, asked);
    expect([preflight.status, preflight.headers["access-control-allow-origin"]]).toEqual([204, "https://app.example"]);
    expect(preflight.headers["access-control-allow-headers"]).toContain("Authorization");
    // What a client of ours may be given: headers of its own, and whether cookies go along.
    const own = { ...asked.headers, "access-control-request-headers": "content-type,x-tenant" };
    const { headers } = await raw(`${it.url}/runs`, { ...asked, headers: own });
    expect(headers["access-control-allow-headers"]).toContain("x-tenant");
    expect([headers["access-control-allow-credentials"], named.headers["access-control-allow-credentials"]]).toEqual([
      "true",
      "true",
    ]);
    const odd = { ...asked.headers, "access-control-request-headers": "x-a; b" };
    expect((await raw(`${it.url}/runs`, { ...asked, headers: odd })).headers["access-control-allow-headers"]).toBe(
      "Authorization, Content-Type, Last-Event-ID, X-Client-Id",
    );
    const foreign = await raw(`${it.url}/runs`, {
      ...asked,
      headers: { ...asked.headers, origin: "https://evil.example" },
    });
    expect([foreign.status, foreign.headers["access-control-allow-origin"]]).toEqual([403, undefined]);
    await expect(serve({ agents: it.agent, port: 0, origins: ["*"] })).rejects.toThrow(/origins/);
  });

  it.for([
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/json; charset=utf-16",
    "text/plain; application/json",
    "",
  ])("cannot send a form for JSON: %s", async (type) => {
    const it = await served();
    await finished(it, "r1");
    for (const path of ["/runs", "/runs/r1/commands", "/runs/r1/tickets"]) {
      const answer = await raw(it.url + path, {
        method: "POST",
        headers: type === "" ? {} : { "content-type": type },
        body: '{"task":"x","verb":"cancel"}',
      });
      expect(answer.status).toBe(415);
      expect(codeOf(answer.body)).toBe("unsupported_media_type");
    }
    expect((await it.agent.runs()).map(({ status }) => status)).toEqual(["done"]);
  });

  it("changes nothing by GET", async () => {
    const it = await served({ model: scriptedModel([["half", pause()]]) });
    const run = it.agent.run("x", { runId: "r1" });
    for await (const event of run) if (event.type === "token_stream") break;
    const before = await it.events("r1");
    for (const [, path] of ROUTES) {
      const controller = new AbortController();
      const answer = await fetch(`${it.url}${path}?verb=cancel&task=x`, { signal: controller.signal });
      expect(answer.status).not.toBe(201);
      controller.abort();
    }
    expect(await it.events("r1")).toEqual(before);
    expect((await it.agent.runs()).length).toBe(1);
  });

  it("guesses no type and shows no frame", async () => {
    const it = await served();
    const { headers } = await raw(`${it.url}/runs`);
    expect(headers).toMatchObject({
      "x-content-type-options": "nosniff",
      "cache-control": "no-store",
      "cross-origin-resource-policy": "same-origin",
      "referrer-policy": "no-referrer",
    });
    expect(headers["content-security-policy"]).toContain("frame-ancestors 'none'");
  });
});

describe("a request that is too much", () => {
  it("in its body is refused, whether it says its length or not", async () => {
    const it = await served({}, { limits: { bodyBytes: 1_000 } });
    const body = JSON.stringify({ task: "x".repeat(2_000) });
    const said = await raw(`${it.url}/runs`, { method: "POST", headers: JSON_TYPE, body });
    expect([said.status, codeOf(said.body)]).toEqual([413, "too_large"]);
    const unsaid = await raw(`${it.url}/runs`, {
      method: "POST",
      headers: { ...JSON_TYPE, "transfer-encoding": "chunked" },
      body,
    });
    expect([unsaid.status, codeOf(unsaid.body)]).toEqual([413, "too_large"]);
    expect(await it.agent.runs()).toEqual([]);
    const fits = await post(`${it.url}/runs`, { task: "x".repeat(900) });
    expect(fits.status).toBe(201);
  });

  it("breaks off in its body: nothing is begun, and the server has not failed", async () => {
    const it = await served();
    const line = connect(it.server.port, "127.0.0.1");
    line.write("POST /runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");
    line.write('Expect: 100-continue\r\nContent-Length: 12\r\n\r\n{"task":');
    // The server reads the body.
    await once(line, "data");
    line.destroy();
    const route = 'requests_total{route="/runs",status=';
    await eventually(async () => (await raw(`${it.url}/metrics`)).body.includes(route));
    expect((await raw(`${it.url}/metrics`)).body).toContain(`${route}"400"} 1`);
    expect(it.errors).toEqual([]);
    expect(await it.agent.runs()).toEqual([]);
  });

  it("in its nesting is refused and breaks nothing", async () => {
    const it = await served();
    const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
    const answer = await raw(`${it.url}/runs`, {
      method: "POST",
      headers: JSON_TYPE,
      body: `{"task":"x","metadata":{"deep":${deep}}}`,
    });
    expect([answer.status, codeOf(answer.body)]).toEqual([400, "invalid_request"]);
    expect(it.errors).toEqual([]);
  });

  it("with keys such as __proto__ is data", async () => {
    const it = await served();
    const answer = await raw(`${it.url}/runs`, {
      method: "POST",
      headers: JSON_TYPE,
      body: '{"task":"x","runId":"__proto__","metadata":{"__proto__":{"polluted":true}}}',
    });
    expect(answer.status).toBe(201);
    expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
    expect((await raw(`${it.url}/runs/__proto__`)).body).toContain('"__proto__":{"polluted":true}');
  });

  it("is no request at all: the answer is an error all the same, and the server goes on", async () => {
    const it = await served();
    const spoken = (text: string): Promise<string> =>
      new Promise((resolve) => {
        let said = "";
        const socket = connect(it.server.port, "127.0.0.1", () => socket.end(text));
        socket.setEncoding("utf8").on("data", (piece: string) => {
          said += piece;
        });
        socket.on("error", () => {});
        socket.on("close", () => {
          resolve(said);
        });
      });
    expect(await spoken("GET /runs HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n")).toMatch(/^HTTP\/1\.1 40\d/);
    expect(await spoken("GET /runs HTTP/1.1\r\nConnection: close\r\n\r\n")).toMatch(/^HTTP\/1\.1 400/);
    expect(
      await spoken("GET http://evil.example/runs HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"),
    ).toMatch(/^HTTP\/1\.1 40\d/);
    expect(await spoken("nonsense\r\n\r\n")).toMatch(/^HTTP\/1\.1 400/);
    expect((await raw(`${it.url}/health`)).status).toBe(200);
    expect(it.errors).toEqual([]);
  });
});

describe("authorize", () => {
  it("decides about every route, and what a list shows; who it names is in the log", async () => {
    const asked: AuthorizeRequest[] = [];
    const it = await served(
      {},
      {
        authorize(request, about) {
          asked.push(about);
          const user = request.headers.get("x-user") ?? "";
          if (about.runId?.startsWith("anna-") === true) return user === "anna" && { by: "anna" };
          return user !== "";
        },
      },
    );
    await finished(it, "anna-1");
    await finished(it, "free");
    for (const route of ROUTES.filter(([, path]) => path !== "/nix")) {
      const [method, path, headers, body] = route;
      const mine = [method, path.replace("/r1", "/anna-1"), headers, body] as const;
      expect([path, (await attempt(it.url, mine)).status]).toEqual([path, 403]);
      if (path.includes("/r1")) {
        expect([path, (await attempt(it.url, mine, { "x-user": "otto" })).status]).toEqual([path, 403]);
      }
    }
    expect(new Set(asked.map(({ action }) => action))).toEqual(
      new Set(["create", "list", "read", "send", "ticket", "stream", "health", "metrics", "openapi"]),
    );
    const listed = async (user: string): Promise<string> =>
      (await raw(`${it.url}/runs`, { headers: { "x-user": user } })).body;
    expect(await listed("otto")).not.toContain("anna-1");
    expect(await listed("anna")).toContain("anna-1");
    const before = await it.events("anna-1");
    expect(before.at(-1)?.type).toBe("done");
    const url = `${it.url}/runs/anna-1/commands`;
    const headers = { "x-user": "anna" };
    expect((await post(url, { verb: "fork", at: 5, runId: "anna-2" }, headers)).status).toBe(200);
    await post(`${it.url}/runs/anna-2/commands`, { verb: "cancel", by: "somebody else" }, headers);
    expect((await it.events("anna-2")).at(-1)).toMatchObject({ type: "cancelled", data: { by: "anna" } });
  });

  it("that throws refuses, and is reported", async () => {
    const it = await served(
      {},
      {
        authorize() {
          throw new Error("the secret is 42");
        },
      },
    );
    const answer = await raw(`${it.url}/runs`);
    expect([answer.status, codeOf(answer.body)]).toEqual([403, "forbidden"]);
    expect(answer.body).not.toContain("42");
    expect(it.errors).toHaveLength(1);
  });
});

describe("what went wrong inside", () => {
  it("is reported, and not told", async () => {
    const log = createAgent({ name: "x", model: goldenModel() }).log;
    const broken = {
      ...log,
      head() {
        throw new Error("connection string postgres://user:hunter2@db");
      },
    };
    const it = await served({ log: broken });
    const answer = await raw(`${it.url}/runs/r1`);
    expect([answer.status, codeOf(answer.body)]).toEqual([500, "internal"]);
    expect(answer.body).not.toContain("hunter2");
    expect(String(it.errors[0])).toContain("hunter2");
  });

  it("in a handler that is mounted elsewhere is the same guard", async () => {
    const agent = createAgent({ name: "a", model: goldenModel() });
    const handler = createHandler({ agents: agent, token: TOKEN, hosts: ["api.example"] });
    const ask = async (url: string, headers: Record<string, string> = BEARER): Promise<number> =>
      (await handler(new Request(url, { headers }))).status;
    expect(await ask("https://api.example/runs")).toBe(200);
    expect(await ask("https://api.example/runs", {})).toBe(401);
    expect(await ask("http://localhost/runs")).toBe(403);
    expect(await ask("https://api.example/runs", { ...BEARER, host: "evil.example" })).toBe(403);
    await handler.close();
  });
});
