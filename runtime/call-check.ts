import type { Draft, Json } from "../machines/events.ts";
import { hashArgs } from "../machines/command.ts";
import type { ToolCallState } from "../machines/state.ts";
import type { PreparedCall, Tool } from "../tools/tool.ts";
import { needsApproval, type Approvals } from "./approvals.ts";
import { parseArgs, toJson } from "./arguments.ts";
import { refusal } from "./call-ending.ts";
import { messageOf } from "./errors.ts";
import type { Head } from "./head.ts";
import { isPromiseLike } from "./promise-like.ts";

type Ready<Context> = Extract<PreparedCall<Context>, { ok: true }>;

/** A call that may run as soon as it is its turn. */
export interface Prepared<Context> {
  readonly callId: string;
  readonly tool: Tool<Context>;
  readonly ready: Ready<Context>;
  /** What it was prepared with: other arguments need another preparation. */
  readonly args: Json;
}

/** The event that a call becomes: announced, or settled because it cannot run. */
export interface Checked<Context> {
  readonly draft: Draft;
  readonly prepared: Prepared<Context> | undefined;
}

export interface CallCheckOptions<Context> {
  readonly head: Head;
  readonly tools: ReadonlyMap<string, Tool<Context>>;
  readonly context: Context;
  readonly approvals: Approvals<Context>;
}

/** Looks whether a call of a complete message can run, and whether a person has to allow it (T1, P14). Answers at once where nothing in it waits. */
export class CallCheck<Context> {
  private readonly options: CallCheckOptions<Context>;

  constructor(options: CallCheckOptions<Context>) {
    this.options = options;
  }

  check(call: ToolCallState): Checked<Context> | Promise<Checked<Context>> {
    if (call.error !== undefined) return refused(call, call.error.message);
    const { tools } = this.options;
    const tool = tools.get(call.name);
    if (tool === undefined) {
      const names = [...tools.keys()].join(", ");
      return refused(
        call,
        `There is no tool "${call.name}". ${names === "" ? "There are no tools." : `There are: ${names}.`}`,
      );
    }
    // What a person approved or an earlier process validated counts, not what the model wrote.
    const text = call.args === undefined ? call.rawArgs : JSON.stringify(call.args);
    const logged = parseArgs(text);
    if (!logged.ok) return refused(call, logged.message);
    const args = call.args ?? logged.args;
    try {
      // A copy: the tool may keep and change what it is given, the log's arguments stay as they were.
      const answer = tool.prepare(toJson(logged.args));
      if (isPromiseLike(answer)) return this.acceptLater(call, tool, args, answer);
      return this.accept(call, tool, args, answer);
    } catch (error) {
      return broken(call, error);
    }
  }

  private accept(
    call: ToolCallState,
    tool: Tool<Context>,
    args: Json,
    answer: PreparedCall<Context>,
  ): Checked<Context> | Promise<Checked<Context>> {
    if (!answer.ok) return refused(call, answer.message);
    const { head, approvals, context } = this.options;
    const { callId, name } = call;
    const prepared = { callId, tool, ready: answer, args };
    if (!tool.asks && head.state.allowedTools.includes(name)) return announced(call, prepared, false);
    const needed = needsApproval(approvals, tool, answer, args, { runId: head.runId, callId, name, context });
    return typeof needed === "boolean"
      ? announced(call, prepared, needed)
      : needed.then((late) => announced(call, prepared, late));
  }

  private async acceptLater(
    call: ToolCallState,
    tool: Tool<Context>,
    args: Json,
    answer: PromiseLike<PreparedCall<Context>>,
  ): Promise<Checked<Context>> {
    try {
      return await this.accept(call, tool, args, await answer);
    } catch (error) {
      return broken(call, error);
    }
  }
}

function announced<Context>(
  { callId, providerCallId, name }: ToolCallState,
  prepared: Prepared<Context>,
  needed: boolean,
): Checked<Context> {
  const { args } = prepared;
  const data = needed
    ? ({ callId, providerCallId, name, args, approval: "required", argsHash: hashArgs(args) } as const)
    : ({ callId, providerCallId, name, args, approval: "none" } as const);
  return { draft: { type: "tool_call", data }, prepared };
}

function refused<Context>(call: ToolCallState, message: string): Checked<Context> {
  return { draft: refusal(call, message), prepared: undefined };
}

function broken<Context>(call: ToolCallState, error: unknown): Checked<Context> {
  return refused(call, `The tool's schema failed: ${messageOf(error)}`);
}
