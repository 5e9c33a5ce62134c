import { describe, expect, it, onTestFinished } from "vitest";
import { createAgent, offlineModel } from "rubato";
import { serve } from "rubato/server";
import { raw } from "./served.ts";

const TOKEN = "correct-horse-battery";

async function served(inspect: boolean | undefined, basePath = ""): Promise<string> {
  const agents = createAgent({ name: "clerk", model: offlineModel() });
  const server = await serve({
    agents,
    port: 0,
    token: TOKEN,
    basePath,
    ...(inspect === undefined ? {} : { inspect }),
  });
  onTestFinished(() => server.close());
  return server.url;
}

describe("the visualizer's page on a server", () => {
  it.for(["", "/api/agent"])(
    "is served below %j, without the token, under a policy that lets nothing else in",
    async (basePath) => {
      const url = await served(true, basePath);
      const answer = await raw(`${url}/inspect`);
      expect([answer.status, answer.headers["content-type"]]).toEqual([200, "text/html; charset=utf-8"]);
      const policy = String(answer.headers["content-security-policy"]);
      expect(policy).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self'; .*frame-ancestors 'none'$/);
      expect(policy).not.toMatch(/unsafe|\*|https?:/);
      // No inline script, no inline style, nothing from elsewhere.
      expect(answer.body).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=|https?:\/\//);
      for (const [, path = ""] of answer.body.matchAll(/(?:src|href)="(inspect\/[^"]+)"/g)) {
        const part = await raw(new URL(path, `${url}/inspect`).href);
        expect([path, part.status, part.headers["x-content-type-options"]]).toEqual([path, 200, "nosniff"]);
      }
      const onward = await raw(`${url}/`);
      expect([onward.status, onward.headers["location"]]).toEqual([302, `${basePath}/inspect`]);
      // What it shows needs the token as ever.
      expect((await raw(`${url}/runs`)).status).toBe(401);
    },
  );

  it("is refused to foreign hosts and origins, takes nothing, and is not there unless it was asked for", async () => {
    const url = await served(true);
    for (const path of ["/", "/inspect", "/inspect/page.js"]) {
      expect((await raw(`${url}${path}`, { headers: { host: "evil.example" } })).status).toBe(403);
      expect((await raw(`${url}${path}`, { headers: { origin: "https://evil.example" } })).status).toBe(403);
      expect((await raw(`${url}${path}`, { method: "POST" })).status).toBe(405);
    }
    const plain = await served(undefined);
    const headers = { authorization: `Bearer ${TOKEN}` };
    expect((await raw(`${plain}/inspect`, { headers })).status).toBe(404);
  });
});
