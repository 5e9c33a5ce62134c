import type { Page } from "playwright-core";
import { onTestFinished } from "vitest";
import type { Agent } from "rubato";
import { serve, type RubatoServer } from "rubato/server";

export const TOKEN = "correct-horse-battery";

/** A server with the page, until the test is over; the agent stays when it goes. */
export async function served(agent: Agent, port = 0, heartbeatMs = 15_000): Promise<RubatoServer> {
  const options = { token: TOKEN, inspect: true, closeAgents: false, closeMs: 200 };
  const server = await serve({ agents: agent, port, heartbeatMs, ...options });
  onTestFinished(() => server.close());
  return server;
}

export async function act(page: Page): Promise<void> {
  await page.getByRole("tab", { name: "Act" }).click();
}
