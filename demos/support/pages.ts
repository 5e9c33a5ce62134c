import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { serve } from "@hono/node-server";
import { build } from "esbuild";
import { Hono } from "hono";
import { createHandler, type ServedAgent } from "rubato/server";

// The pages of demos/browser and the agent that they talk to, from one origin: no page of another one may talk to it.

/** What the pages may do: load what is their own, and talk to whom they came from. Nothing inline, nothing evaluated, in nobody's frame. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const SOURCE = new URL("../browser/", import.meta.url);

export interface PageFile {
  readonly type: string;
  readonly text: string;
}

/** The files of both pages, by name. */
export async function bundlePages(): Promise<ReadonlyMap<string, PageFile>> {
  const path = (name: string): string => fileURLToPath(new URL(name, SOURCE));
  const { outputFiles } = await build({
    entryPoints: [path("plain.ts"), path("react.tsx")],
    bundle: true,
    minify: true,
    write: false,
    outdir: "out",
    format: "esm",
    target: "es2022",
    // Of the checkout: a program that has rubato installed leaves this out.
    conditions: ["source"],
    define: { "process.env.NODE_ENV": '"production"' },
  });
  const files = new Map<string, PageFile>();
  for (const { path, text } of outputFiles) {
    files.set(path.replace(/^.*[\\/]/, ""), { type: "text/javascript; charset=utf-8", text });
  }
  for (const [name, type] of [
    ["plain.html", "text/html"],
    ["react.html", "text/html"],
    ["style.css", "text/css"],
  ] as const) {
    files.set(name, { type: `${type}; charset=utf-8`, text: await readFile(path(name), "utf8") });
  }
  return files;
}

export interface PageServer {
  readonly url: string;
  /** Ends the streams and stops listening. The agent is left as it is. */
  close(): Promise<void>;
}

/** Serves the pages on this machine, and the agent below `/api`, on a free port. */
export async function servePages(agent: ServedAgent): Promise<PageServer> {
  const handler = createHandler({ agents: agent, basePath: "/api" });
  const app = new Hono();
  app.all("/api/*", ({ req }) => handler(req.raw));
  for (const [name, { type, text }] of await bundlePages()) {
    const headers = { "Content-Type": type, "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff" };
    app.get(`/${name}`, (context) => context.body(text, 200, headers));
  }
  app.get("/", (context) => context.redirect("/plain.html"));

  return new Promise((resolve) => {
    const server = serve(
      { fetch: app.fetch, port: 0, hostname: "127.0.0.1", overrideGlobalObjects: false },
      ({ port }) => {
        resolve({
          url: `http://127.0.0.1:${port}`,
          async close() {
            await handler.close();
            await new Promise<void>((closed) => {
              server.close(() => {
                closed();
              });
              if ("closeAllConnections" in server) server.closeAllConnections();
            });
          },
        });
      },
    );
  });
}
