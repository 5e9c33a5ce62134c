import type { ChatModel, ModelChunk } from "rubato";

/**
 * Models for both sides: async generators, as a model written by hand is. They cost the loop and rubato the same, and nothing in them waits.
 */

/**
 * Asks for the tool in `steps` steps, of another city each time (a run that asks the same again and again is stopped), and then answers. Every answer
 * has 20 tokens. One run per model.
 */
export function steppingModel(steps: number): ChatModel {
  let asked = 0;
  return {
    name: "bench",
    stream: () => {
      asked += 1;
      return answer(asked <= steps ? asked : 0);
    },
  };
}

async function* answer(city: number): AsyncGenerator<ModelChunk, void, undefined> {
  for (let token = 0; token < 20; token++) yield { type: "text", text: "token " };
  if (city > 0) {
    yield { type: "tool_call", index: 0, id: "call_1", name: "weather", args: `{"city":"Rome ${city}"}` };
    yield { type: "finish", finish: "tool_calls", usage: { inputTokens: 100, outputTokens: 30 } };
  } else yield { type: "finish", finish: "stop", usage: { inputTokens: 100, outputTokens: 20 } };
}

/** One answer of this many tokens. */
export function talkingModel(tokens: number): ChatModel {
  return { name: "bench", stream: () => talk(tokens) };
}

async function* talk(tokens: number): AsyncGenerator<ModelChunk, void, undefined> {
  for (let token = 0; token < tokens; token++) yield { type: "text", text: "token " };
  yield { type: "finish", finish: "stop", usage: { inputTokens: 10, outputTokens: tokens } };
}
