import { defineTool } from "rubato";
import { z } from "zod";

export interface City {
  readonly city: string;
}

/** The one tool of the benchmarks. Async, as most tools are. */
export async function weather({ city }: City): Promise<{ city: string; degrees: number }> {
  return { city, degrees: 21 };
}

export const weatherTool = defineTool({
  name: "weather",
  description: "The weather in a city.",
  input: z.object({ city: z.string() }),
  execute: weather,
});
