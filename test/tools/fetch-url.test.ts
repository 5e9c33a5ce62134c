import { execFileSync } from "node:child_process";
import { getEventListeners } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { fetchUrl, type FetchUrlOptions } from "../../tools/index.ts";
import { isPublicAddress } from "../../tools/public-address.ts";
import { source } from "../project/child.ts";
import { fakeContext, makeSandbox } from "./fixture.ts";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

interface Site {
  readonly port: number;
  readonly origin: string;
  readonly server: Server;
  /** What was asked for. */
  readonly asked: string[];
  readonly sockets: Set<Socket>;
  connections: number;
  handler: Handler;
}

/** A real server on an address of this machine; each 127.x.y.z is one, and some play the public ones. */
async function listen(address: string, port = 0): Promise<Site> {
  const server = createServer((request, response) => {
    site.asked.push(request.url ?? "");
    site.handler(request, response);
  });
  const sockets = new Set<Socket>();
  const site: Site = { port: 0, origin: "", server, asked: [], sockets, connections: 0, handler: say("hello") };
  server.on("connection", (socket) => {
    site.connections++;
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(port, address, resolve));
  Object.assign(site, { port: portOf(server), origin: `http://${address}:${portOf(server)}` });
  return site;
}

function portOf(server: { address(): AddressInfo | string | null }): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("It does not listen.");
  return address.port;
}

async function close({ server }: Site): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeAllConnections();
  await closed;
}

function say(body: string | Uint8Array, headers: Record<string, string> = {}, status = 200): Handler {
  return (_request, response) => {
    response.writeHead(status, { "content-type": "text/plain", ...headers }).end(body);
  };
}

/** Until it is so: the test's own time limit is the limit. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(5);
}

let site: Site;
beforeEach(async () => {
  site = await listen("127.0.0.1");
});
afterEach(() => close(site));

const here = (address: string) => address === "127.0.0.1";

interface Input extends FetchUrlOptions {
  readonly maxBytes?: number;
  readonly ctx?: ReturnType<typeof fakeContext>;
}

/** Fetches, with 127.0.0.1 allowed unless the options say otherwise. */
const get = async (url: string, { maxBytes = 65_536, ctx = fakeContext(), ...options }: Input = {}) =>
  fetchUrl({ allow: here, ...options }).execute({ url: url.startsWith("/") ? site.origin + url : url, maxBytes }, ctx);

test("answers the text, where it is, and what the server said of it", async () => {
  site.handler = (request, response) => {
    expect(request.method).toBe("GET");
    expect(request.headers).toEqual({
      host: `127.0.0.1:${site.port}`,
      accept: "text/*, application/json, application/xml, */*;q=0.1",
      "accept-encoding": "gzip, deflate, br",
      "user-agent": "rubato",
      connection: "close",
    });
    response.setHeader("content-type", "application/json").end('{"drei":"三"}');
  };
  expect(await get("/a?b=c#d")).toEqual({
    url: `${site.origin}/a?b=c#d`,
    status: 200,
    contentType: "application/json",
    text: '{"drei":"三"}',
  });
  expect(site.asked).toEqual(["/a?b=c"]);
  site.handler = say("no such page", {}, 404);
  expect(await get("/x")).toMatchObject({ status: 404, text: "no such page" });
});

describe("only public addresses", () => {
  test.each([
    ..."0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.254 169.254.169.254".split(" "),
    ..."172.16.0.1 172.31.255.255 192.0.0.8 192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1 198.19.255.255".split(" "),
    ..."198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255".split(" "),
    ..."::  ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:7f00:1 ::ffff:8.8.8.8 64:ff9b::7f00:1 64:ff9b:1::a00:1".split(" "),
    ..."100::1 2001::1 2001:0:7f00:1:: 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1:: 2002:a00:1::1 3fff::1".split(
      " ",
    ),
    ..."5f00::1 fc00::1 fd12:3456::1 fe80::1 fe80::1%lo fec0::1 ff02::1 2606:4700::1%eth0".split(" "),
    ..."127.1 0x7f.1 2130706433 localhost example.org 1.2.3.4.5".split(" "),
    "",
  ])("%s is none", (address) => {
    expect(isPublicAddress(address)).toBe(false);
  });

  test.each(
    ["1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255"]
      .concat("172.15.255.255 172.32.0.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255")
      .concat("2001:200::1 2001:4860:4860::8888 2606:4700:4700::1111 2a00:1450::1 2003::1 3ffe::1 2000::1")
      .flatMap((line) => line.split(" ")),
  )("%s is one", (address) => {
    expect(isPublicAddress(address)).toBe(true);
  });

  const spellings = [
    ..."http://127.0.0.1 http://2130706433 http://0x7f.1 http://0x7f000001 http://0177.0.0.1 http://127.1".split(" "),
    ..."http://①②⑦.⓪.⓪.① http://127。0。0。1 http://127.0.0.1. http://0 http://0.0.0.0 https://127.0.0.1".split(" "),
    ..."http://[::1] http://[::] http://[0:0:0:0:0:0:0:1] http://[::ffff:127.0.0.1] http://[::ffff:7f00:1]".split(" "),
    ..."http://[64:ff9b::127.0.0.1] http://[2002:7f00:1::] http://[fe80::1] http://[fd00::1] http://10.1.2.3".split(
      " ",
    ),
    ..."http://169.254.169.254/latest/meta-data http://192.168.1.1 http://100.100.100.200 http://224.0.0.1".split(" "),
  ];
  test.each(spellings)("%s is refused before anybody is asked, and when it is run", async (url) => {
    const refused = "leads to an address that is not public. Only public addresses are fetched.";
    const withPort = new URL(url);
    withPort.port = String(site.port);
    expect(await fetchUrl().prepare({ url: withPort.href })).toMatchObject({
      ok: false,
      message: expect.stringContaining("not public"),
    });
    await expect(get(withPort.href, { allow: () => false })).rejects.toThrow(refused);
    expect(site.connections).toBe(0);
  });

  test.each([
    ["localhost, as the system looks it up", undefined],
    ["a name that leads to this machine", ["127.0.0.1"]],
    ["in the spelling of IPv6", ["::1", "::ffff:127.0.0.1", "::ffff:7f00:1"]],
    ["a name that leads into private networks", ["10.0.0.1", "192.168.0.1", "169.254.169.254", "fe80::1%lo"]],
    ["a look-up that answers what is no address", ["2130706433", "0x7f.1", "localhost", ""]],
    ["a name that leads nowhere", []],
  ])("by name: %s", async (_name, addresses) => {
    const lookup = addresses === undefined ? {} : { lookup: () => Promise.resolve(addresses) };
    const url = `http://${addresses === undefined ? "localhost" : "evil.test"}:${site.port}/`;
    await expect(get(url, { allow: () => false, ...lookup })).rejects.toThrow(
      /^"[a-z.]+:\d+" leads to an address that is not public\./,
    );
    expect(site.connections).toBe(0);
  });

  test("of a name with addresses of both kinds only the permitted one is tried", async () => {
    const other = await listen("127.0.0.2", site.port);
    onTestFinished(() => close(other));
    const url = `http://both.test:${site.port}/`;
    for (const addresses of [
      ["127.0.0.2", "127.0.0.1"],
      ["127.0.0.1", "127.0.0.2"],
      ["127.0.0.2", "::1", "127.0.0.1"],
    ]) {
      expect(await get(url, { lookup: () => Promise.resolve(addresses) })).toMatchObject({ text: "hello" });
    }
    expect([site.connections, other.connections]).toEqual([3, 0]);
  });

  test("DNS rebinding: a name is looked up once for each request, and what was checked is what is connected to", async () => {
    // 127.0.0.2 plays the public address; 127.0.0.1 is the victim, on the same port.
    const attacker = await listen("127.0.0.2", site.port);
    onTestFinished(() => close(attacker));
    const answers: string[] = [];
    const lookup = () => {
      const address = answers.length === 0 ? "127.0.0.2" : "127.0.0.1";
      answers.push(address);
      return Promise.resolve([address]);
    };
    const allow = (address: string) => address === "127.0.0.2";
    const url = `http://rebind.test:${site.port}/`;
    expect(await get(url, { lookup, allow })).toMatchObject({ text: "hello" });
    expect(answers).toEqual(["127.0.0.2"]);
    await expect(get(url, { lookup, allow })).rejects.toThrow("not public");

    answers.length = 0;
    attacker.handler = say("", { location: "/again" }, 302);
    await expect(get(url, { lookup, allow })).rejects.toThrow(
      `"rebind.test:${site.port}" leads to an address that is not public.`,
    );
    expect(answers).toEqual(["127.0.0.2", "127.0.0.1"]);
    expect(site.connections).toBe(0);
  });

  test("the check stands at several places, the connected socket's own address among them: each alone refuses", async () => {
    const looks = { count: 0, refuseAt: 0 };
    const allow = (address: string) => here(address) && ++looks.count !== looks.refuseAt;
    for (const url of [`http://127.0.0.1:${site.port}/`, `http://name.test:${site.port}/`]) {
      const input = { allow, lookup: () => Promise.resolve(["127.0.0.1"]) };
      Object.assign(looks, { count: 0, refuseAt: 0 });
      expect(await get(url, input)).toMatchObject({ text: "hello" });
      const { count } = looks;
      expect(count).toBeGreaterThanOrEqual(2);
      const before = { asked: site.asked.length, connections: site.connections };
      for (let refuseAt = 1; refuseAt <= count; refuseAt++) {
        Object.assign(looks, { count: 0, refuseAt });
        await expect(get(url, input)).rejects.toThrow("not public");
      }
      // The last look is at the socket: it was connected, and nothing was asked of the server.
      await until(() => site.connections > before.connections);
      expect(site.connections).toBe(before.connections + 1);
      expect(site.asked).toHaveLength(before.asked);
    }
  });
});

describe("what is no plain http URL is refused", () => {
  test.each([
    ["file:///etc/passwd", "is no http or https URL"],
    ["ftp://example.org/", "is no http or https URL"],
    ["data:text/plain,hello", "is no http or https URL"],
    ["javascript:alert(1)", "is no http or https URL"],
    ["http://user:secret@example.org/", "holds a user name or password"],
    ["http://user@example.org/", "holds a user name or password"],
    ["http://example.org:22/", "uses port 22. Use 80, 443, or one from 1024"],
    ["http://example.org:25/", "uses port 25."],
    ["https://example.org:0/", "uses port 0."],
    ["example.org", "is no URL"],
    ["/etc/passwd", "is no URL"],
    ["http://", "is no URL"],
    ["http://a b/", "is no URL"],
    ["http://256.256.256.256/", "is no URL"],
  ])("%s", async (url, sentence) => {
    const prepared = await fetchUrl().prepare({ url });
    expect(prepared).toMatchObject({ ok: false, message: expect.stringContaining(`url: It ${sentence}`) });
    await expect(fetchUrl().execute({ url, maxBytes: 1 }, fakeContext())).rejects.toThrow(sentence);
  });

  test("80, 443 and ports from 1024 are taken", async () => {
    for (const url of ["http://example.org", "https://example.org:80", "http://example.org:443", "https://a.b:8443/"]) {
      expect(await fetchUrl().prepare({ url })).toMatchObject({ ok: true });
    }
    expect(await fetchUrl().prepare({ url: `https://example.org/${"x".repeat(9000)}` })).toMatchObject({ ok: false });
  });
});

describe("redirects", () => {
  const to = (location: string, status = 302) => say("moved", { location }, status);

  test("are followed, at most five, from where they lead", async () => {
    site.handler = (request, response) => {
      const left = Number(request.url?.slice(3) ?? "0");
      if (left > 0) to(left % 2 === 0 ? `../a/${left - 1}` : `${site.origin}/a/${left - 1}`, 307)(request, response);
      else say("arrived")(request, response);
    };
    expect(await get("/a/5")).toMatchObject({ url: `${site.origin}/a/0`, text: "arrived" });
    site.asked.length = 0;
    await expect(get("/a/6")).rejects.toThrow(`"${site.origin}/a/6" redirects more than 5 times.`);
    expect(site.asked).toHaveLength(6);
    await until(() => site.sockets.size === 0);
  });

  test("each is checked as the first URL is", async () => {
    const other = await listen("127.0.0.2");
    onTestFinished(() => close(other));
    const port = String(other.port);
    for (const [location, sentence] of [
      [other.origin, "not public"],
      [`http://0x7f.0.0.2:${port}/`, "not public"],
      [`http://2130706434:${port}/`, "not public"],
      [`//[::ffff:127.0.0.2]:${port}/`, "not public"],
      ["http://169.254.169.254/latest/meta-data", "not public"],
      [`http://user:secret@127.0.0.1:${site.port}/`, "holds a user name or password"],
      ["http://127.0.0.1:22/", "uses port 22"],
      ["file:///etc/passwd", "is no http or https URL"],
      ["http://", "is no URL"],
    ] as const) {
      site.handler = to(location);
      await expect(get("/")).rejects.toThrow(sentence);
    }
    site.handler = to(`http://inner.test:${port}/`);
    await expect(get("/", { lookup: () => Promise.resolve(["127.0.0.2"]) })).rejects.toThrow("not public");
    expect(other.connections).toBe(0);
    await until(() => site.sockets.size === 0);
  });

  test("what a redirect or a refused answer goes on sending is not waited for", async () => {
    const endless: Handler = (request, response) => {
      if (request.url === "/there") say("arrived")(request, response);
      else response.writeHead(302, { "content-type": "text/plain", location: "/there" }).write("and");
    };
    site.handler = endless;
    expect(await get("/")).toMatchObject({ text: "arrived" });
    await until(() => site.sockets.size === 0);
    site.handler = (_request, response) => void response.writeHead(200, { "content-type": "image/png" }).write("and");
    await expect(get("/")).rejects.toThrow("not text");
    await until(() => site.sockets.size === 0);
  });

  test("one without a place to go is an answer", async () => {
    site.handler = say("which one?", {}, 300);
    expect(await get("/")).toMatchObject({ status: 300, text: "which one?" });
    site.handler = say("nowhere", {}, 302);
    expect(await get("/")).toMatchObject({ status: 302, text: "nowhere" });
  });
});

test("proxy variables are ignored, also where Node is told to use them", async () => {
  const proxy = await listen("127.0.0.3");
  onTestFinished(() => close(proxy));
  const names = ["http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"];
  const before = { ...process.env };
  onTestFinished(() => {
    for (const name of [...names, "NODE_USE_ENV_PROXY"]) delete process.env[name];
    Object.assign(process.env, before);
  });
  for (const name of names) process.env[name] = proxy.origin;
  process.env["NODE_USE_ENV_PROXY"] = "1";
  expect(await get("/")).toMatchObject({ text: "hello" });
  const child = await source(fileURLToPath(new URL("fetch-host.ts", import.meta.url)), `${site.origin}/child`);
  expect(child.err.replace(/.*Warning.*\n?/gi, "")).toBe("");
  expect(JSON.parse(child.out)).toMatchObject({ text: "hello" });
  expect(proxy.connections).toBe(0);
});

test("https is checked as browsers check it", async () => {
  const box = await makeSandbox();
  onTestFinished(() => box.remove());
  const [key, cert] = [join(box.outer, "key.pem"), join(box.outer, "cert.pem")];
  const subject = ["-subj", "/CN=secure.test", "-addext", "subjectAltName=IP:127.0.0.1"];
  execFileSync(
    "openssl",
    ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2", ...subject],
    {
      stdio: "ignore",
    },
  );
  const server = createHttpsServer({ key: readFileSync(key), cert: readFileSync(cert) }, say("secret"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())));
  const url = `https://127.0.0.1:${portOf(server)}/`;
  await expect(get(url)).rejects.toThrow(`"${url}" could not be fetched (DEPTH_ZERO_SELF_SIGNED_CERT).`);
  const before = process.env["NODE_EXTRA_CA_CERTS"];
  process.env["NODE_EXTRA_CA_CERTS"] = cert;
  onTestFinished(() => {
    if (before === undefined) delete process.env["NODE_EXTRA_CA_CERTS"];
    else process.env["NODE_EXTRA_CA_CERTS"] = before;
  });
  const child = await source(fileURLToPath(new URL("fetch-host.ts", import.meta.url)), url);
  expect(JSON.parse(child.out)).toMatchObject({ status: 200, text: "secret" });
});

describe("what is answered is bounded", () => {
  test("a long body is cut between two characters, and no more of it is taken", async () => {
    let written = 0;
    site.handler = (_request, response) => {
      response.setHeader("content-type", "text/plain");
      const more = () => {
        while (!response.destroyed && response.write("三".repeat(1000))) written += 3000;
        if (!response.destroyed) response.once("drain", more);
      };
      more();
    };
    expect(await get("/", { maxBytes: 100 })).toMatchObject({ text: "三".repeat(33), truncated: true });
    await until(() => site.sockets.size === 0);
    expect(written).toBeLessThan(20_000_000);
    site.handler = say("x".repeat(100));
    expect(await get("/", { maxBytes: 100 })).not.toHaveProperty("truncated");
    expect(await fetchUrl().prepare({ url: "https://a.b", maxBytes: 1024 * 1024 + 1 })).toMatchObject({ ok: false });
  });

  test.each([
    ["gzip", gzipSync],
    ["deflate", deflateSync],
    ["br", brotliCompressSync],
  ] as const)("a body that unpacks to much more than it is: %s", async (packing, pack) => {
    site.handler = say(pack("drei 三"), { "content-encoding": packing });
    expect(await get("/")).toMatchObject({ text: "drei 三" });
    site.handler = say(pack(Buffer.alloc(64 * 1024 * 1024, "a")), { "content-encoding": packing.toUpperCase() });
    const before = process.memoryUsage().arrayBuffers;
    expect(await get("/", { maxBytes: 1000 })).toMatchObject({ text: "a".repeat(1000), truncated: true });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 1024 * 1024);
    site.handler = say(pack("x".repeat(10_000)).subarray(0, -12), { "content-encoding": packing });
    await expect(get("/")).rejects.toThrow("could not be fetched");
  });

  test("a packing that is not known, and a body that ends too early", async () => {
    site.handler = say("?", { "content-encoding": "zip" });
    await expect(get("/")).rejects.toThrow('packed as "zip"');
    site.handler = (_request, response) => {
      response
        .writeHead(200, { "content-type": "text/plain", "content-length": "100" })
        .write("half", () => response.destroy());
    };
    await expect(get("/")).rejects.toThrow(`"${site.origin}/" could not be fetched (ECONNRESET).`);
  });
});

describe("only text, in its character set", () => {
  test.each(["image/png", "application/octet-stream", "application/pdf", "video/mp4", "nonsense", ""])(
    "%s is refused unread",
    async (type) => {
      site.handler = say("\u0089PNG", { "content-type": type });
      await expect(get("/")).rejects.toThrow(/^The answer \(status 200\) is .*, not text, so it is not read\.$/);
      await until(() => site.sockets.size === 0);
    },
  );

  test.each([
    "text/html",
    "TEXT/CSS; x=y",
    "application/json",
    "image/svg+xml",
    "application/ld+json",
    "application/xml",
  ])("%s is text", async (type) => {
    site.handler = say("ok", { "content-type": type });
    expect(await get("/")).toMatchObject({ text: "ok", contentType: type });
  });

  test("an answer without a body needs no type", async () => {
    site.handler = (_request, response) => void response.writeHead(204).end();
    expect(await get("/")).toEqual({ url: `${site.origin}/`, status: 204, text: "" });
    site.handler = (_request, response) => void response.writeHead(200).end("what is this?");
    await expect(get("/")).rejects.toThrow("is of no known type, not text");
  });

  const bytes = (...values: number[]) => new Uint8Array(values);
  const html = (head: string) => Buffer.concat([Buffer.from(head), bytes(0xc4, 0xe3)]);
  test.each<[string, string, Uint8Array, string]>([
    ["UTF-8 where nothing is said", "text/plain", Buffer.from("ü三"), "ü三"],
    ["what is no UTF-8 replaced", "text/plain", bytes(0x61, 0xff), "a\uFFFD"],
    ["of the type", "text/plain; charset=ISO-8859-1", bytes(0x66, 0xfc, 0x72), "für"],
    ["of the type, quoted", 'text/plain; charset="gb18030"', bytes(0xc4, 0xe3), "你"],
    [
      "of the type, before that of the page",
      "text/html; charset=gbk",
      html("<meta charset=utf-8>"),
      "<meta charset=utf-8>你",
    ],
    ["of the page", "text/html", html('<html><meta charset="gbk">'), '<html><meta charset="gbk">你'],
    ["of the XML", "text/xml", html('<?xml version="1.0" encoding="gbk"?>'), '<?xml version="1.0" encoding="gbk"?>你'],
    ["of the mark, before all", "text/plain; charset=gbk", bytes(0xff, 0xfe, 0x60, 0x4f), "你"],
    ["of a mark of UTF-8", "text/plain", bytes(0xef, 0xbb, 0xbf, 0x61), "a"],
    ["one nobody knows", "text/plain; charset=klingon", Buffer.from("ü"), "ü"],
  ])("%s", async (_name, type, body, text) => {
    site.handler = say(body, { "content-type": type });
    expect(await get("/")).toMatchObject({ text });
  });
});

describe("it stops, and closes its socket", () => {
  const silent: Handler = () => {};
  const begun: Handler = (_request, response) => {
    response.writeHead(200, { "content-type": "text/plain" }).write("begun");
  };

  test.each([
    ["before an answer", silent],
    ["in the middle of a body", begun],
  ])("on an abort %s", async (_name, handler) => {
    site.handler = handler;
    const controller = new AbortController();
    const running = get("/", { ctx: fakeContext(controller.signal) });
    await until(() => site.asked.length === 1);
    controller.abort();
    await expect(running).rejects.toThrow("The request was stopped before its answer was complete.");
    await until(() => site.sockets.size === 0);
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
  });

  test("on an abort during the look-up, and before it began", async () => {
    const controller = new AbortController();
    let asked = false;
    const lookup = () => {
      asked = true;
      return new Promise<string[]>(() => {});
    };
    const running = get("http://slow.test/", { lookup, ctx: fakeContext(controller.signal) });
    await until(() => asked);
    controller.abort();
    await expect(running).rejects.toThrow("The request was stopped");
    await expect(get("/", { ctx: fakeContext(AbortSignal.abort(new Error("enough"))) })).rejects.toThrow("enough");
    expect(site.connections).toBe(0);
  });

  const circling: Handler = (request, response) => {
    const timer = setTimeout(() => {
      say("", { location: "/" }, 302)(request, response);
    }, 30);
    response.once("close", () => {
      clearTimeout(timer);
    });
  };
  test.each([
    ["before an answer", silent],
    ["in the middle of a body", begun],
    ["between redirects", circling],
  ])("when its time is up %s", async (_name, handler) => {
    site.handler = handler;
    await expect(get("/", { timeoutMs: 100 })).rejects.toThrow(
      `"${site.origin}/" gave no complete answer within 0.1 seconds.`,
    );
    await until(() => site.sockets.size === 0);
  });

  test("when its time is up during the look-up", async () => {
    const lookup = () => new Promise<string[]>(() => {});
    await expect(get("http://slow.test/", { lookup, timeoutMs: 20 })).rejects.toThrow("within 0.02 seconds");
  });

  test("a host that cannot be found or reached is one sentence", async () => {
    const code = (name: string) => () => Promise.reject(Object.assign(new Error(name), { code: name }));
    await expect(get("http://no.test/", { lookup: code("ENOTFOUND") })).rejects.toThrow(
      'The host of "http://no.test/" cannot be found. Check its name.',
    );
    const gone = await listen("127.0.0.1");
    await close(gone);
    await expect(get(gone.origin)).rejects.toThrow(`The host of "${gone.origin}" takes no connection there.`);
  });

  test("nothing of a call is left in this process", async () => {
    const kinds = () => process.getActiveResourcesInfo().filter((kind) => kind !== "Timeout");
    await get("/");
    await until(() => site.sockets.size === 0);
    const before = kinds().length;
    for (let round = 0; round < 20; round++) {
      site.handler = say("ok");
      await get("/");
      await expect(get("http://10.0.0.1/")).rejects.toThrow("not public");
      site.handler = say("x", { "content-type": "image/png" });
      await expect(get("/")).rejects.toThrow("not text");
      site.handler = begun;
      await get("/", { maxBytes: 2 });
    }
    await until(() => site.sockets.size === 0 && kinds().length <= before);
  });
});
