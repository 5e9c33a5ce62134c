import type { Env, Hono } from "hono";
import { PAGE_POLICY, pageFiles } from "../inspect/page-files.ts";
import type { Core } from "./core.ts";
import { refusalOf, refuse } from "./refusal.ts";
import { refused, SAFE_HEADERS, text } from "./reply.ts";

/** By the path below the base path. */
const PAGES: Readonly<Record<string, string>> = {
  "/inspect": "index.html",
  "/inspect/page.js": "inspect/page.js",
  "/inspect/page.css": "inspect/page.css",
};

/** The routes of the visualizer: its files, to whoever reaches this host, without a token. */
export function addPage<E extends Env>(app: Hono<E>, core: Core): void {
  const { basePath } = core.settings;
  for (const [path, name] of Object.entries(PAGES)) {
    app.all(`${basePath}${path}`, async ({ req: { raw } }) => counted(core, await answer(core, raw, name)));
  }
  // A fragment, such as the token of a printed address, goes along.
  const onward = new Response(null, { status: 302, headers: { ...SAFE_HEADERS, Location: `${basePath}/inspect` } });
  app.all(`${basePath}/`, ({ req: { raw } }) => counted(core, refusalFor(core, raw) ?? onward.clone()));
}

function counted(core: Core, response: Response): Response {
  core.metrics.request("other", response.status);
  return response;
}

async function answer(core: Core, request: Request, name: string): Promise<Response> {
  const refusal = refusalFor(core, request);
  if (refusal !== undefined) return refusal;
  try {
    const file = (await pageFiles()).get(name);
    if (file === undefined) return refused(request, refuse(404, "not_found", "The page has no such file."));
    return text(request, file.text, file.type, 200, { "Content-Security-Policy": PAGE_POLICY });
  } catch (error) {
    core.report(error);
    return refused(request, refusalOf(error));
  }
}

function refusalFor(core: Core, request: Request): Response | undefined {
  const refusal = core.guard.admitPage(request);
  if (refusal !== undefined) return refused(request, refusal);
  if (request.method === "GET" || request.method === "HEAD") return undefined;
  return refused(request, refuse(405, "method_not_allowed", "Here is GET only.", { Allow: "GET" }));
}
