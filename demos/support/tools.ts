import { setTimeout } from "node:timers/promises";
import { z } from "zod";
import { defineTool } from "rubato";
import { beat } from "./pace.ts";

const CELSIUS: Readonly<Record<string, number>> = { Paris: 15, Rome: 25, Oslo: 5 };

/** Pays, and takes a while to say so: run twice it would pay twice. */
export const pay = defineTool({
  name: "pay",
  description: "Pays the ticket",
  input: z.object({ cents: z.number() }),
  async execute(_input, ctx) {
    ctx.progress("the bank has it");
    await setTimeout(60_000, undefined, { signal: ctx.signal });
    return "paid";
  },
});

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
