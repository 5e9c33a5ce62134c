import { z } from "zod";
import { defineTool, type CrashPolicy, type Tool, type ToolContext } from "rubato";
import { takeOne, type Dice } from "./fuzz-model.ts";
import type { Problem } from "./fuzz-watchers.ts";

/** Tools of every temper that end when the test lets them. */
export interface FuzzTools {
  readonly tools: readonly Tool[];
  /** How often each attempt of a call was begun, by `callId/attempt` (P11). */
  readonly starts: ReadonlyMap<string, number>;
  /** Ends one of the calls that execute, also one that was given up long ago. */
  readonly finishOne: () => void;
  /** Lets one asynchronous check of arguments end. */
  readonly validateOne: () => void;
  /** From now on every call and every check ends at once. */
  drain(): void;
}

export interface FuzzToolsOptions {
  readonly dice: Dice;
  /** Gives a random command and forgets it. */
  readonly ask: () => void;
  /** Gives a random command and waits for its answer. */
  readonly give: () => Promise<void>;
  readonly problem: Problem;
}

/** `nope` does not exist. */
export const FUZZ_TOOL_NAMES = [
  "obeys",
  "deaf",
  "alone",
  "async",
  "later",
  "commands",
  "nope",
  "sync",
  "thenable",
  "throws",
] as const satisfies readonly [string, ...string[]];

interface Held {
  readonly ctx: ToolContext;
  readonly answer: (value: unknown) => void;
  readonly fail: (error: Error) => void;
}

const anything = z.looseObject({});
/** Written apart: a literal with this key is a lint error, and a promise of somebody else's is what it is about. */
const THEN = ["th", "en"].join("");

export function fuzzTools({ dice, ask, give, problem }: FuzzToolsOptions): FuzzTools {
  const held = new Set<Held>();
  const checks = new Set<() => void>();
  const starts = new Map<string, number>();
  let draining = false;

  function hold(ctx: ToolContext, obeys: boolean): Promise<unknown> {
    if (draining) return Promise.resolve("drained");
    return new Promise((answer, fail) => {
      const entry: Held = { ctx, answer, fail };
      held.add(entry);
      if (!obeys) return;
      const stopped = (): void => {
        if (held.delete(entry)) fail(new Error("stopped"));
      };
      ctx.signal.addEventListener("abort", stopped, { once: true });
    });
  }

  /** A tool that tells something at a wrong time must be ignored and not be thrown at. */
  function tell(ctx: ToolContext, word: string): void {
    try {
      ctx.progress(word);
      ctx.emit(word, 1);
    } catch (error) {
      problem("P15 a tool may tell at any time", String(error));
    }
  }

  interface Temper {
    readonly input?: z.ZodType;
    readonly timeoutMs?: number;
    readonly exclusive?: boolean;
    readonly idempotent?: boolean;
    readonly onCrash?: CrashPolicy;
  }
  function tool(name: string, act: (ctx: ToolContext) => unknown, temper: Temper = {}): Tool {
    const execute = (_input: unknown, ctx: ToolContext): unknown => {
      const key = `${ctx.callId}/${ctx.attempt}`;
      starts.set(key, (starts.get(key) ?? 0) + 1);
      return act(ctx);
    };
    return defineTool({ name, description: name, input: anything, ...temper, execute });
  }

  /** Arguments that are checked asynchronously: a command may come while they are. */
  const checkedLater = anything.refine(async (args) => {
    if (!draining) await new Promise<void>((resolve) => checks.add(resolve));
    // By the arguments and not by the dice: asked again about the same call it must say the same.
    return JSON.stringify(args).length % 5 > 0;
  });

  return {
    starts,
    tools: [
      tool(
        "obeys",
        (ctx) => {
          if (dice.chance(0.5)) tell(ctx, "begun");
          return hold(ctx, true);
        },
        { timeoutMs: 50, idempotent: true },
      ),
      tool("deaf", (ctx) => hold(ctx, false), { timeoutMs: 50, onCrash: "report" }),
      tool("alone", (ctx) => hold(ctx, true), { exclusive: true, idempotent: true }),
      tool("async", (ctx) => hold(ctx, true), { input: checkedLater, idempotent: true }),
      tool("later", (ctx) => hold(ctx, true), { input: checkedLater, onCrash: "report" }),
      tool("commands", async (ctx) => {
        // It waits for the answers: from inside a tool no command may wait for that tool in turn.
        await ctx.interrupt("a tool asks");
        await give();
        return hold(ctx, dice.chance(0.5));
      }),
      tool("sync", (ctx) => {
        tell(ctx, "quick");
        if (dice.chance(0.2)) ask();
        return "quick";
      }),
      tool("thenable", () =>
        Object.defineProperty({}, THEN, {
          value: (resolve: (value: unknown) => void) => {
            resolve("from a thenable");
          },
        }),
      ),
      tool("throws", () => {
        throw new Error("it threw");
      }),
    ],
    finishOne() {
      const entry = takeOne(held, dice);
      if (entry === undefined) return;
      tell(entry.ctx, "nearly");
      if (dice.chance(0.8)) entry.answer({ value: 1 });
      else entry.fail(new Error("it failed"));
      if (!dice.chance(0.2)) return;
      queueMicrotask(() => {
        tell(entry.ctx, "late");
      });
    },
    validateOne() {
      takeOne(checks, dice)?.();
    },
    drain() {
      draining = true;
      for (const entry of held) entry.answer("drained");
      held.clear();
      for (const end of checks) end();
      checks.clear();
    },
  };
}
