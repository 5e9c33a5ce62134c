import { HttpAgent, type Message as AguiMessage, type RunAgentInput } from "@ag-ui/client";
import { expect } from "vitest";
import { z } from "zod";
import { stateAt } from "rubato";
import { messagesOf } from "../../runtime/server/agui/messages.ts";
import { checkAgui, comparable } from "./agui-check.ts";
import type { Served } from "./served.ts";

const eventSchema = z.looseObject({ type: z.string() });
export type Wire = z.output<typeof eventSchema>;

/** The JSON of each `data:` line. What is no whole frame is left out. */
export function framesOf(text: string): Wire[] {
  return text
    .split("\n\n")
    .slice(0, -1)
    .flatMap((frame) => {
      const line = frame.split("\n").find((one) => one.startsWith("data: "));
      return line === undefined || line === "data: [DONE]" ? [] : [eventSchema.parse(JSON.parse(line.slice(6)))];
    });
}

/** The official client, with what came over the wire. */
export class AguiClient {
  readonly agent: HttpAgent;
  private readonly bodies: Promise<string>[] = [];
  private readonly served: Served;
  private said = 0;

  constructor(served: Served, threadId: string, messages: readonly AguiMessage[] = []) {
    this.served = served;
    this.agent = new HttpAgent({
      url: `${served.url}/agui`,
      threadId,
      initialMessages: [...messages],
      fetch: async (url, init) => {
        const response = await fetch(url, init);
        const body = response.clone().text();
        // A line that this client cuts.
        this.bodies.push(body.catch(() => ""));
        return response;
      },
    });
  }

  /** What came so far of the last answer, whole. */
  async last(): Promise<Wire[]> {
    return framesOf((await this.bodies.at(-1)) ?? "");
  }

  /** Says something, or nothing, and answers what came: checked to be valid, ended, and to leave the client with what the log says. */
  async run(
    text?: string,
    parameters: Partial<Pick<RunAgentInput, "resume" | "forwardedProps" | "tools" | "context">> = {},
  ) {
    if (text !== undefined) {
      this.agent.addMessage({ id: `said-${this.agent.threadId}-${++this.said}`, role: "user", content: text });
    }
    const before = this.agent.messages.map((message) => ({ ...message }));
    const failed = await this.agent.runAgent(parameters).then(
      () => undefined,
      (error: unknown) => error,
    );
    const events = await this.last();
    const { problems } = await checkAgui(events, before);
    expect(problems).toEqual([]);
    const end = events.at(-1);
    if (end?.type === "RUN_FINISHED") expect(failed).toBeUndefined();
    const { log } = this.served;
    const head = await log.head(this.agent.threadId);
    const state = await stateAt(log, this.agent.threadId, head.seq);
    expect(comparable(this.agent.messages)).toEqual(comparable(messagesOf(state)));
    return { events, end, outcome: outcomeOf(end), state };
  }
}

const endSchema = z.looseObject({
  outcome: z
    .looseObject({
      type: z.string(),
      interrupts: z
        .array(z.looseObject({ id: z.string(), reason: z.string(), message: z.string().optional() }))
        .default([]),
    })
    .optional(),
  code: z.string().optional(),
});

function outcomeOf(end: Wire | undefined) {
  const { outcome, code } = endSchema.parse(end);
  return { type: outcome?.type ?? "error", interrupts: outcome?.interrupts ?? [], code };
}
