import type { Agent } from "../agent.ts";
import type { AskLine } from "./ask-line.ts";
import type { EventLog } from "../log/event-log.ts";
import type { Setup } from "./setup.ts";
import type { Terminal, TerminalEvents } from "./terminal.ts";
import type { Theme } from "./theme.ts";
import type { Writer } from "./writer.ts";

/** Everything that a command touches of the world. A test gives its own. */
export interface Io {
  /** What was asked for. */
  readonly out: Writer;
  /** Everything else. */
  readonly err: Writer;
  /** Columns of the terminal on stdout; undefined where it is none. */
  readonly columns: number | undefined;
  /** Rows of it. */
  readonly rows: number;
  /** Columns of the terminal on stderr, for progress bars; undefined where it is none. */
  readonly errColumns: number | undefined;
  /** Somebody can press keys. */
  readonly keyboard: boolean;
  /** For stdout: colours where it is a terminal that wants them. */
  readonly theme: Theme;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** How this program was called, for sentences that say what to type. */
  readonly program: string;
  /** The same, for commands that go on with a run: with the model and the tools that were asked for. */
  readonly goOn: string;
  readonly now: () => number;
  /** Resolves after so many ms, or when the signal aborts. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** The log to read, where there is one. Throws {@link RubatoError} where it cannot be used. */
  readonly openLog: () => EventLog | undefined;
  /** The log to write to, made where there is none. Throws {@link RubatoError} where it cannot be. */
  readonly makeLog: () => EventLog;
  /** Where it would be, for sentences. */
  readonly place: string;
  /** The agent over that log, with the tools that a run was begun with. A sentence says what is wrong with the settings. */
  readonly openAgent: (log: EventLog, runId: string) => Promise<Agent | string>;
  /** The same, with what is to be said about it. */
  readonly setUp: (log: EventLog) => Promise<Pick<Setup, "agent" | "notice"> | string>;
  /** Calls back at a signal that asks to stop, with the exit code; answers its undo. */
  readonly onSignal: (stop: (exitCode: number) => void) => () => void;
  /** Calls back when nobody reads stdout any more. */
  readonly onUnread: (stop: () => void) => void;
  /** Asks a person; false where nobody is there. */
  readonly confirm: (question: string) => Promise<boolean>;
  /** Asks for a line, where somebody is there to type it: undefined when they leave instead, or the signal aborts. */
  readonly askLine: AskLine | undefined;
  readonly openTerminal: (events: TerminalEvents) => Terminal;
}

/** What a command does, once its line was read. Answers the exit code; throws {@link RubatoError} for what one sentence explains. */
export type Job = (io: Io) => Promise<number>;
