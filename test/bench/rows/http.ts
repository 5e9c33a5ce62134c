import OpenAI from "openai";
import { createAgent, openaiModel } from "rubato";
import { z } from "zod";
import { ms } from "../support/format.ts";
import { compare, interleave, timed } from "../support/interleave.ts";
import { expect, type Row } from "../support/row.ts";
import { startSseServer } from "../support/sse-server.ts";
import { weather, weatherTool, type City } from "../support/weather.ts";

/** As the server plays it. */
const STEPS = 20;
const TOKENS = 200;

export const http: Row = {
  name: "http",
  title: `HTTP end to end, ${STEPS} steps x ${TOKENS} tokens`,
  async measure({ quick }) {
    const server = await startSseServer();
    try {
      const client = new OpenAI({ baseURL: server.baseURL, apiKey: "bench", maxRetries: 0 });
      const model = openaiModel({ model: "steps", baseURL: server.baseURL, apiKey: "bench" });
      const { loop, rubato, ratio } = compare(
        await interleave(
          quick ? { rounds: 6, warmup: 2 } : { rounds: 100, warmup: 15 },
          () => timed(() => sdkLoop(client)),
          () =>
            timed(async () => {
              const agent = createAgent({ name: "bench", model, tools: [weatherTool], maxSteps: STEPS + 1 });
              const { status, steps, output } = await agent.run("task").settled();
              expect(
                status === "done" && steps === STEPS + 1,
                `a run over HTTP ended as ${status} after ${steps} steps`,
              );
              expect(output?.length === TOKENS * 6, "a run over HTTP lost text");
            }),
        ),
      );
      return [
        {
          what: `HTTP end to end, one step of ${STEPS} x ${TOKENS} tokens`,
          loop: ms(loop / (STEPS + 1)),
          rubato: ms(rubato / (STEPS + 1)),
          ratio,
          target: "<= 1.05 x",
          met: ratio <= 1.05,
        },
      ];
    } finally {
      server.stop();
    }
  },
};

const { $schema: _dialect, ...parameters } = z.toJSONSchema(weatherTool.input, { io: "input", target: "draft-7" });
const TOOLS: OpenAI.Chat.Completions.ChatCompletionTool[] = [
  { type: "function", function: { name: weatherTool.name, description: weatherTool.description, parameters } },
];

/** The loop of the SDK's own examples: the same requests as rubato's, byte for byte but for the ids of the calls. */
async function sdkLoop(client: OpenAI): Promise<void> {
  const messages: OpenAI.Chat.Completions.ChatCompletionMessageParam[] = [{ role: "user", content: "task" }];
  for (let step = 1; ; step++) {
    const stream = await client.chat.completions.create({
      model: "steps",
      messages,
      tools: TOOLS,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    const calls: { id: string; type: "function"; function: { name: string; arguments: string } }[] = [];
    for await (const chunk of stream) {
      const delta = chunk.choices[0]?.delta;
      text += delta?.content ?? "";
      for (const { index, id = "", function: asked } of delta?.tool_calls ?? []) {
        const call = (calls[index] ??= { id, type: "function", function: { name: asked?.name ?? "", arguments: "" } });
        call.function.arguments += asked?.arguments ?? "";
      }
    }
    expect(text.length === TOKENS * 6, "the loop over HTTP lost text");
    if (calls.length === 0) {
      expect(step === STEPS + 1, `the loop over HTTP ended after ${step} steps`);
      return;
    }
    messages.push({ role: "assistant", content: text, tool_calls: calls });
    for (const call of calls) {
      const input: City = JSON.parse(call.function.arguments);
      messages.push({ role: "tool", tool_call_id: call.id, content: JSON.stringify(await weather(input)) });
    }
  }
}
