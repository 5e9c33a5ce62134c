import { z } from "zod";
import type { AgentOptions } from "../../runtime/agent-options.ts";
import { createAgent, type Agent } from "../../runtime/agent.ts";
import type { Io } from "../../runtime/cli/io.ts";
import { parseCommand } from "../../runtime/cli/options.ts";
import type { Terminal, TerminalEvents } from "../../runtime/cli/terminal.ts";
import { createTheme } from "../../runtime/cli/theme.ts";
import type { Writer } from "../../runtime/cli/writer.ts";
import { messageOf } from "../../runtime/errors.ts";
import type { EventLog } from "../../runtime/log/event-log.ts";
import { memoryLog } from "../../runtime/log/memory.ts";
import { scriptedModel, type Gate, type Script } from "../../runtime/models/scripted.ts";
import { defineTool, type Tool } from "../../tools/tool.ts";

/** A command line without a process: its log, its model and its terminal are the test's. */
export interface Stage {
  readonly log: EventLog;
  /** Runs a command line. What it throws is told as the program tells it. */
  readonly rubato: (...argv: string[]) => Promise<{ code: number; out: string; err: string }>;
  /** An agent as the commands make it, over the same log. */
  readonly agent: () => Agent;
  readonly close: () => Promise<void>;
}

export interface StageOptions {
  readonly script?: Script;
  readonly tools?: readonly Tool[];
  readonly log?: EventLog;
  readonly instructions?: string;
  readonly io?: Partial<Io>;
  /** Its limits, its retries, whom it asks. */
  readonly more?: Partial<AgentOptions>;
}

export function stage({
  script = [],
  tools = [],
  log = memoryLog(),
  instructions,
  io = {},
  more = {},
}: StageOptions = {}): Stage {
  const agents: Agent[] = [];
  const model = scriptedModel(script);
  function agent(): Agent {
    const made = createAgent({
      name: "rubato",
      model,
      tools,
      log,
      ...(instructions === undefined ? {} : { instructions }),
      ...more,
    });
    agents.push(made);
    return made;
  }
  return {
    log,
    agent,
    async rubato(...argv) {
      const out = captured();
      const err = captured();
      const around = { env: {}, cwd: "/home/ann", keyboard: false, screen: false };
      const command = parseCommand(argv, around);
      if (command.kind === "usage") return { code: 2, out: "", err: command.message };
      if (command.kind !== "job") throw new Error(`${argv.join(" ")} is no command over the log`);
      const world = {
        ...plainIo(out, err),
        openLog: () => log,
        makeLog: () => log,
        openAgent: async () => agent(),
        setUp: async () => ({ agent: agent(), notice: undefined }),
        ...io,
      };
      // What changes meanwhile is asked for each time.
      Object.defineProperties(world, Object.getOwnPropertyDescriptors(io));
      const code = await command.job(world).catch((error: unknown) => {
        err.add(messageOf(error));
        return 1;
      });
      return { code, out: out.text, err: err.text };
    },
    async close() {
      for (const made of agents) await made.close();
    },
  };
}

/** A tool that waits for the test, and for nothing when it is stopped. */
export function slowTool(gate: Gate): Tool {
  return defineTool({
    name: "slow",
    description: "Waits.",
    input: z.object({}),
    async execute(_input, ctx) {
      await gate.pass(ctx.signal);
      if (ctx.signal.aborted) throw new Error("stopped");
      return "slept";
    },
  });
}

export interface Captured extends Writer {
  readonly text: string;
  add(text: string): void;
}

export function captured(): Captured {
  let text = "";
  return {
    get text() {
      return text;
    },
    add(more) {
      text += more;
    },
    async write(more) {
      text += more;
    },
    closed: false,
    async flush() {},
  };
}

function plainIo(out: Writer, err: Writer): Io {
  return {
    out,
    err,
    columns: undefined,
    rows: 24,
    errColumns: undefined,
    keyboard: false,
    theme: createTheme(false),
    env: {},
    program: "rubato",
    goOn: "rubato",
    now: () => Date.now(),
    sleep: async () => {},
    openLog: () => undefined,
    makeLog: memoryLog,
    place: "/home/ann/.rubato/runs",
    openAgent: async () => "no agent",
    setUp: async () => "no agent",
    onSignal: () => () => {},
    onUnread: () => {},
    confirm: async () => false,
    askLine: undefined,
    openTerminal: noTerminal,
  };
}

function noTerminal(_events: TerminalEvents): Terminal {
  throw new Error("no terminal here");
}

/** A tool that asks before it runs, and keeps what it ran with. */
export function actingTool(name = "act"): { readonly tool: Tool; readonly ran: unknown[] } {
  const ran: unknown[] = [];
  const tool = defineTool({
    name,
    description: "Acts.",
    input: z.object({ what: z.string(), times: z.number().optional() }),
    approval: "always",
    execute(input) {
      ran.push(input);
      return `did ${input.what}`;
    },
  });
  return { tool, ran };
}
