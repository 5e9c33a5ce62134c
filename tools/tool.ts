import type { z } from "zod";

/** What may stand in the log and travel to a model: plain JSON. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** What a command of a tool answers: recorded, or why not. */
export type ToolReceipt =
  | { readonly accepted: true; readonly seq: number }
  | { readonly accepted: false; readonly reason: string };

/** What `execute` gets besides its input. */
export interface ToolContext<Context = unknown> {
  /** Aborts when the call is interrupted, cancelled or out of time. Pass it on to everything that can wait. */
  readonly signal: AbortSignal;
  readonly runId: string;
  /** `step.index`, unique in the run. */
  readonly callId: string;
  /** From 1. Above 1 only for tools that are declared idempotent. */
  readonly attempt: number;
  /** The same for every attempt of this call: hand it to services that deduplicate. */
  readonly idempotencyKey: string;
  /** What the program passed as `context` when it started the run. It is never logged. */
  readonly context: Context;
  /** What the person said who approved the call; undefined where nobody was asked, or nothing was said. */
  readonly answer: string | undefined;
  /** W3C Trace Context of this call, where it is to be handed on to what the tool asks. */
  readonly traceparent?: string | undefined;
  /** What goes with it. */
  readonly tracestate?: string | undefined;
  /** Streams a partial result to whoever watches (event `tool_progress`). Ignored once the call is settled. */
  progress(value: Json): void;
  /** Records an event of the program's own (event `custom`). Ignored once the call is settled. */
  emit(name: string, data?: Json): void;
  /** Asks the run to stop at the next step boundary. Resolves when the request is recorded, not when it is effective. */
  interrupt(reason?: string): Promise<ToolReceipt>;
}

/** What an approval policy may look at besides the input. */
export interface ApprovalContext<Context = unknown> {
  readonly runId: string;
  readonly callId: string;
  /** The tool's. */
  readonly name: string;
  /** What the program passed as `context` when it started the run. */
  readonly context: Context;
}

/**
 * When a call of the tool waits for a person's approval. A function gets the parsed input and answers whether this call waits; it must
 * change nothing, and may be asked again for the same call, also in another process. Only `false` lets a call run: what is no boolean waits.
 */
export type ApprovalPolicy<Input = unknown, Context = unknown> =
  | "never"
  | "always"
  | ((input: Input, ctx: ApprovalContext<Context>) => boolean | Promise<boolean>);

/**
 * What becomes of a call whose process died while it executed, so that nobody knows how it ended: `ask` a person (the run rests until
 * `settleCall` or a resume), `report` it to the model as unknown, or `rerun` it, which only an idempotent tool can promise to survive.
 */
export type CrashPolicy = "ask" | "report" | "rerun";

/** A call whose arguments are valid and that is ready to run, or the sentence that goes back to the model. */
export type PreparedCall<Context> =
  | {
      readonly ok: true;
      /** Whether this call waits for a person. Throws, or rejects with, what the tool's own policy throws: nobody may take that for a no. */
      needsApproval(ctx: ApprovalContext<Context>): boolean | Promise<boolean>;
      start(ctx: ToolContext<Context>): unknown;
    }
  | { readonly ok: false; readonly message: string };

/** What the model may call. Made by {@link defineTool}; the type of the input is closed over, so that tools of all inputs fit in one list. */
export interface Tool<Context = unknown> {
  readonly name: string;
  readonly description: string;
  readonly input: z.ZodType;
  readonly output: z.ZodType | undefined;
  /** `depends`: on the call, which says it by `needsApproval` once it is prepared. */
  readonly approval: "never" | "always" | "depends";
  readonly asks: boolean;
  readonly idempotent: boolean;
  readonly exclusive: boolean;
  readonly onCrash: CrashPolicy;
  readonly timeoutMs: number | undefined;
  /** What is wrong with its definition, said when an agent is created with it. */
  readonly problem?: string | undefined;
  /** Validates arguments against the input schema. Answers a promise only where the schema has asynchronous checks. */
  prepare(args: unknown): PreparedCall<Context> | Promise<PreparedCall<Context>>;
}

export interface ToolSpec<Input extends z.ZodType, Context> {
  /** 1 to 64 characters of `a-z A-Z 0-9 _ -`, unique in the agent. */
  readonly name: string;
  /** What the model reads to decide when to call it. */
  readonly description: string;
  /** A zod object: the arguments. */
  readonly input: Input;
  /** When given, what `execute` answers is held to it; what does not fit becomes an `error` outcome. */
  readonly output?: z.ZodType;
  /** Default `never`. */
  readonly approval?: ApprovalPolicy<z.output<Input>, Context>;
  /** True when approving a call needs an answer in words, which `execute` finds in `ctx.answer`. Default false. */
  readonly asks?: boolean;
  /** True when running it twice with the same key and arguments is the same as once. Default false: it is started at most once. */
  readonly idempotent?: boolean;
  /** True when nothing else of the run may execute beside it. Default false. */
  readonly exclusive?: boolean;
  /** Default `rerun` for an idempotent tool, `ask` for any other. */
  readonly onCrash?: CrashPolicy;
  /** Milliseconds until the signal aborts and the outcome is `timeout`. Default: the agent's `toolTimeoutMs`. */
  readonly timeoutMs?: number;
  /** Does the work. What it answers must be JSON (undefined counts as null). What it throws goes back to the model as an error. */
  execute(input: z.output<Input>, ctx: ToolContext<Context>): unknown;
}

/** A tool together with its typed `execute`, so that a test can call it directly. */
export interface DefinedTool<Input extends z.ZodType, Context> extends Tool<Context> {
  execute(input: z.output<Input>, ctx: ToolContext<Context>): unknown;
}

/**
 * Defines a tool. The definition is checked when an agent is created with it: its options, its name, and that the input is a zod object.
 */
export function defineTool<Input extends z.ZodType, Context = unknown>(
  spec: ToolSpec<Input, Context>,
): DefinedTool<Input, Context> {
  const { approval = "never" } = spec;
  const ready = (input: z.output<Input>): PreparedCall<Context> => ({
    ok: true,
    needsApproval: typeof approval === "function" ? (ctx) => asked(approval(input, ctx)) : constant(approval),
    start: (ctx) => spec.execute(input, ctx),
  });
  const refused = (error: z.ZodError): PreparedCall<Context> => ({ ok: false, message: describeIssues(error) });
  return {
    name: spec.name,
    description: spec.description,
    input: spec.input,
    output: spec.output,
    approval: typeof approval === "function" ? "depends" : approval,
    asks: spec.asks ?? false,
    idempotent: spec.idempotent ?? false,
    exclusive: spec.exclusive ?? false,
    onCrash: spec.onCrash ?? (spec.idempotent === true ? "rerun" : "ask"),
    timeoutMs: spec.timeoutMs,
    problem: problemOf(spec),
    execute: (input, ctx) => spec.execute(input, ctx),
    prepare(args) {
      let parsed: z.ZodSafeParseResult<z.output<Input>>;
      try {
        parsed = spec.input.safeParse(args);
      } catch (error) {
        if (!isAsyncCheck(error)) throw error;
        return spec.input.safeParseAsync(args).then((late) => (late.success ? ready(late.data) : refused(late.error)));
      }
      return parsed.success ? ready(parsed.data) : refused(parsed.error);
    },
  };
}

const KEYS: readonly (keyof ToolSpec<z.ZodType, unknown>)[] = [
  "name",
  "description",
  "input",
  "output",
  "approval",
  "asks",
  "idempotent",
  "exclusive",
  "onCrash",
  "timeoutMs",
  "execute",
];

/** What the types forbid, for programs without them. */
function problemOf(spec: object): string | undefined {
  const known: readonly string[] = KEYS;
  const { execute, description, input }: { execute?: unknown; description?: unknown; input?: unknown } = spec;
  const foreign = Object.keys(spec).find((key) => !known.includes(key));
  // A key that nothing reads is a spelling mistake that would stay silent.
  if (foreign !== undefined) return `has no option "${foreign}". Its options: ${known.join(", ")}.`;
  if (typeof execute !== "function") return "needs a function execute(input, ctx).";
  if (typeof description !== "string") return "needs a description, which the model reads to decide when to call it.";
  if (typeof input !== "object" || input === null || !("safeParse" in input))
    return "needs an input: z.object({ ... }).";
  return undefined;
}

const no = () => false;
const yes = () => true;

/** One function for all calls: most tools decide once. */
function constant(approval: "never" | "always"): () => boolean {
  return approval === "never" ? no : yes;
}

/** A policy without types may answer anything, and nothing by mistake: only a plain no lets a call run unseen. */
function asked(answer: unknown): boolean | Promise<boolean> {
  return answer instanceof Promise ? answer.then((late) => late !== false) : answer !== false;
}

/** True for what zod throws when a schema with asynchronous checks is asked synchronously: it has no other sign for it. */
export function isAsyncCheck(error: unknown): boolean {
  return error instanceof Error && error.constructor.name === "$ZodAsyncError";
}

/** One line per issue, with the path of the argument, at most eight: the model must be able to mend its call from it. */
function describeIssues(error: z.ZodError): string {
  const lines = error.issues.slice(0, 8).map((issue) => {
    const path = issue.path.map(String).join(".");
    return path === "" ? issue.message : `${path}: ${issue.message}`;
  });
  return `Invalid arguments: ${lines.join("; ")}`;
}
