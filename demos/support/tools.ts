import { z } from "zod";
import { defineTool } from "rubato";
import { beat } from "./pace.ts";

const CELSIUS: Readonly<Record<string, number>> = { Paris: 15, Rome: 25, Oslo: 5 };

/** Asks three stations, says so as it goes, and stops when it is told to. */
export const weather = defineTool({
  name: "weather",
  description: "The temperature in a city",
  input: z.object({ city: z.enum(["Paris", "Rome", "Oslo"]) }),
  idempotent: true,
  async execute({ city }, ctx) {
    for (const station of [1, 2, 3]) {
      await beat(ctx.signal, 500);
      ctx.signal.throwIfAborted();
      ctx.progress(`station ${station} of 3`);
    }
    return { city, celsius: CELSIUS[city] ?? 0 };
  },
});
