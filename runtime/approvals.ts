import type { Command } from "../machines/command.ts";
import type { Json } from "../machines/events.ts";
import type { AgentState } from "../machines/state.ts";
import type { ApprovalContext, PreparedCall, Tool } from "../tools/tool.ts";
import { parseArgs } from "./arguments.ts";
import { messageOf } from "./errors.ts";
import { isPromiseLike } from "./promise-like.ts";
import { redactJson, type Redact } from "./redact.ts";

/** A call that may have to wait for a person. */
export interface ApprovalCall {
  readonly tool: string;
  /** Parsed, and content with the tool's schema. */
  readonly args: Json;
}

/**
 * Who is asked, for all tools of an agent: `never` asks nobody, `always` asks for every call, a function decides call by call, where `undefined` leaves it
 * to the tool. One that throws asks. A tool whose result is a person's answer (`asks`) always asks.
 */
export type AgentApproval<Context = unknown> =
  | "never"
  | "always"
  | ((call: ApprovalCall, ctx: ApprovalContext<Context>) => boolean | undefined | Promise<boolean | undefined>);

export interface Approvals<Context> {
  /** Undefined where the tools decide alone. */
  readonly policy: "never" | "always" | "function" | undefined;
  /** How long a person has to answer, ms. */
  readonly timeoutMs: number;
  /** The function's own answer. A method, so that an agent whose runs may lack a context fits. */
  decide(call: ApprovalCall, ctx: ApprovalContext<Context>): boolean | undefined | Promise<boolean | undefined>;
}

export function approvalsOf<Context>(
  policy: AgentApproval<Context> | undefined,
  timeoutMs: number,
): Approvals<Context> {
  return {
    policy: typeof policy === "function" ? "function" : policy,
    timeoutMs,
    decide: typeof policy === "function" ? policy : () => undefined,
  };
}

/** Whether a call waits for a person. */
export function needsApproval<Context>(
  approvals: Approvals<Context>,
  tool: Tool<Context>,
  ready: Extract<PreparedCall<Context>, { ok: true }>,
  args: Json,
  ctx: ApprovalContext<Context>,
): boolean | Promise<boolean> {
  const { policy } = approvals;
  if (tool.asks) return true;
  // Most calls of most agents.
  if (policy === undefined && tool.approval === "never") return false;
  if (policy === "never") return false;
  if (policy === "always") return true;
  const own = (): boolean | Promise<boolean> => closed(() => ready.needsApproval(ctx));
  if (policy === undefined) return own();
  try {
    const decided = approvals.decide({ tool: tool.name, args }, ctx);
    if (!isPromiseLike(decided)) return typeof decided === "boolean" ? decided : decided === undefined ? own() : true;
    return Promise.resolve(decided).then(
      (late) => (typeof late === "boolean" ? late : late === undefined ? own() : true),
      () => true,
    );
  } catch {
    return true;
  }
}

/** What goes wrong asks: nobody may take it for a no. */
function closed(decide: () => boolean | Promise<boolean>): boolean | Promise<boolean> {
  try {
    const decided = decide();
    return typeof decided === "boolean" ? decided : decided.then(undefined, () => true);
  } catch {
    return true;
  }
}

/** Why an approval is none, whatever the state says: the arguments do not fit, or words are missing. */
export interface Unfit {
  readonly accepted: false;
  readonly reason: string;
  readonly message: string;
}

export interface AnswerChecks<Context> {
  readonly tools: ReadonlyMap<string, Tool<Context>>;
  readonly redact: Redact | undefined;
  /** Ms since 1970. */
  readonly now: number;
}

/**
 * A person's answer with what the rules of commands need to know: when it was said, and that edited arguments fit (P14). Every other command as it is.
 */
export function checkAnswer<Context>(
  asked: Command,
  state: AgentState,
  { tools, redact, now }: AnswerChecks<Context>,
): Command | Unfit | Promise<Command | Unfit> {
  if (asked.type === "reject") return { ...asked, at: now };
  if (asked.type !== "approve") return asked;
  const call = state.core.calls.find((open) => open.callId === asked.callId);
  const tool = call === undefined ? undefined : tools.get(call.name);
  const timed = { ...asked, at: now };
  if (call?.phase !== "awaiting_approval" || tool === undefined) return timed;
  if (tool.asks) {
    if (asked.answer === undefined || asked.answer.trim() === "")
      return unfit("answer_needed", `"${tool.name}" asks a question: approve it with an answer.`);
    // An answer is for one question: the others that wait have none yet.
    if (asked.forRun === true)
      return unfit("one_answer", `"${tool.name}" asks a question: answer each by itself, without forRun.`);
  }
  if (asked.args === undefined) return timed;
  const args = redact === undefined ? asked.args : redactJson(asked.args, redact);
  const parsed = parseArgs(JSON.stringify(args));
  if (!parsed.ok) return unfit("invalid_args", parsed.message);
  const edited = { ...timed, args };
  const decide = (prepared: PreparedCall<Context>): Command | Unfit =>
    prepared.ok ? edited : unfit("invalid_args", prepared.message);
  try {
    const prepared = tool.prepare(parsed.args);
    return isPromiseLike(prepared) ? Promise.resolve(prepared).then(decide, broken) : decide(prepared);
  } catch (error) {
    return broken(error);
  }
}

function broken(error: unknown): Unfit {
  return unfit("invalid_args", `The tool's schema failed: ${messageOf(error)}`);
}

function unfit(reason: string, message: string): Unfit {
  return { accepted: false, reason, message };
}

export function isUnfit(checked: Command | Unfit): checked is Unfit {
  return "accepted" in checked;
}
