import { RubatoError } from "../errors.ts";
import type {
  ApproveOptions,
  CallerOptions,
  InterruptOptions,
  InterruptReceipt,
  Receipt,
  RejectOptions,
  ResumeOptions,
  SendOptions,
  SendReceipt,
} from "../run.ts";
import type { Json } from "../../machines/events.ts";
import type { CommandReceipt, CommandRequest } from "../server/protocol.ts";
import { abortedBy, link } from "./backoff.ts";
import { LineCut, type Connection } from "./connection.ts";
import { isReceipt } from "./decode.ts";
import { ask, unknownOutcome } from "./http.ts";
import { newId } from "./ids.ts";
import type { Settings } from "./options.ts";

/** Of one command. An abort stops waiting for its receipt; what the server already has goes on. */
export interface CommandOptions {
  readonly signal?: AbortSignal;
}

export interface ClientResumeOptions extends ResumeOptions, CommandOptions {
  /** Also from a process that lives. */
  readonly takeover?: boolean;
  /** Also where the agent's definition is not the one that the run was begun with. */
  readonly allowChanged?: boolean;
}

export interface ClientForkOptions extends CommandOptions, CallerOptions {
  /** The new run begins as a copy up to this seq. */
  readonly at: number;
  readonly instruction?: string;
  /** Other results of calls, by call id. */
  readonly results?: Readonly<Record<string, { readonly output: Json } | { readonly error: string }>>;
  readonly runId?: string;
}

export type ForkReceipt =
  | { readonly accepted: true; readonly seq: number; readonly runId: string }
  | { readonly accepted: false; readonly reason: string; readonly message?: string };

/**
 * What can be said to a run, answered with the server's own receipt; at the wrong moment that is `{ accepted: false, reason }`.
 *
 * Each rejects with {@link RubatoError}: the server's code and sentence (such as `unauthorized`, `unknown_run`, `owned`), `aborted`, `closed`, and
 * `unknown_outcome` where the line broke under it and nobody knows whether it arrived. Only `send` is repeated then, as its id makes twice once.
 */
export interface RunCommands {
  readonly send: (text: string, options?: SendOptions & CommandOptions) => Promise<SendReceipt>;
  /** Answered when everything is quiet. */
  readonly interrupt: (reason?: string, options?: InterruptOptions & CommandOptions) => Promise<InterruptReceipt>;
  readonly resume: (instruction?: string, options?: ClientResumeOptions) => Promise<Receipt>;
  readonly approve: (callId: string, options?: ApproveOptions & CommandOptions) => Promise<Receipt>;
  readonly reject: (callId: string, reason?: string, options?: RejectOptions & CommandOptions) => Promise<Receipt>;
  readonly settleCall: (
    callId: string,
    result: { readonly output: Json } | { readonly error: string },
    options?: CommandOptions,
  ) => Promise<Receipt>;
  /** Ends the run for good. */
  readonly cancel: (
    reason?: string,
    options?: { readonly graceMs?: number; readonly by?: string } & CommandOptions,
  ) => Promise<Receipt>;
  /** The new run is named in the receipt; `client.attach` follows it. */
  readonly fork: (options: ClientForkOptions) => Promise<ForkReceipt>;
}

export interface CommanderOptions {
  readonly settings: Settings;
  readonly runId: string;
  /** The line that is open, where it takes commands. */
  readonly line: () => Connection["command"];
  /** Each ends every command that waits. */
  readonly signals: readonly AbortSignal[];
  readonly onAccepted: (seq: number) => void;
}

export function commandsOf({ settings, runId, line, signals, onAccepted }: CommanderOptions): RunCommands {
  async function perform(command: CommandRequest, signal: AbortSignal | undefined): Promise<CommandReceipt> {
    const controller = new AbortController();
    const unlink = [...signals, signal].map((one) => link(one, controller));
    try {
      if (controller.signal.aborted) throw abortedBy(controller.signal);
      const receipt = (await overLine(command, controller.signal)) ?? (await overHttp(command, controller.signal));
      if (receipt.accepted) onAccepted(receipt.seq);
      return receipt;
    } finally {
      for (const undo of unlink) undo();
    }
  }

  /** Undefined: by another way. */
  async function overLine(command: CommandRequest, signal: AbortSignal): Promise<CommandReceipt | undefined> {
    const say = line();
    if (say === undefined) return undefined;
    const { clock, commandMs } = settings;
    let stop = (): void => {};
    let onAbort = (): void => {};
    const tooLate = new Promise<never>((_resolve, reject) => {
      stop = clock.timer(commandMs, () => {
        reject(unknownOutcome(command.verb, new RubatoError("disconnected", `No receipt within ${commandMs} ms.`)));
      });
      onAbort = () => {
        reject(abortedBy(signal));
      };
      signal.addEventListener("abort", onAbort, { once: true });
    });
    try {
      return await Promise.race([say(command), tooLate]);
    } catch (error) {
      // Nothing was done of it.
      if (error instanceof RubatoError && error.code === "too_many_commands") return undefined;
      if (!(error instanceof LineCut)) throw error;
      if (isRepeatable(command)) return undefined;
      throw unknownOutcome(command.verb, new RubatoError("disconnected", "The socket was closed."));
    } finally {
      stop();
      signal.removeEventListener("abort", onAbort);
    }
  }

  async function overHttp(command: CommandRequest, signal: AbortSignal): Promise<CommandReceipt> {
    const { value } = await ask(settings, {
      method: "POST",
      path: `/runs/${encodeURIComponent(runId)}/commands`,
      body: command,
      signal,
      timeoutMs: settings.commandMs,
      repeatable: isRepeatable(command),
      what: command.verb,
    });
    if (isReceipt(value)) return value;
    throw new RubatoError("protocol", "The server answered a command with something that is no receipt.");
  }

  return {
    async send(text, { signal, when, id = newId("in"), ...caller } = {}) {
      const command: CommandRequest = { verb: "send", text, id, ...(when === undefined ? {} : { when }), ...caller };
      return sent(await perform(command, signal));
    },
    async interrupt(reason, { signal, ...options } = {}) {
      return interrupted(await perform({ verb: "interrupt", ...spoken({ reason }), ...options }, signal));
    },
    async resume(instruction, { signal, budget, ...options } = {}) {
      const raised = budget === undefined ? {} : { budget: { ...budget } };
      return perform({ verb: "resume", ...spoken({ instruction }), ...options, ...raised }, signal);
    },
    async approve(callId, { signal, ...options } = {}) {
      return perform({ verb: "approve", callId, ...options }, signal);
    },
    async reject(callId, reason, { signal, ...options } = {}) {
      return perform({ verb: "reject", callId, ...spoken({ reason }), ...options }, signal);
    },
    async settleCall(callId, result, { signal } = {}) {
      return perform({ verb: "settleCall", callId, ...result }, signal);
    },
    async cancel(reason, { signal, ...options } = {}) {
      return perform({ verb: "cancel", ...spoken({ reason }), ...options }, signal);
    },
    async fork({ signal, at, instruction, results, runId: forkId, ...caller }) {
      const edited = results === undefined ? {} : { results: { ...results } };
      const command: CommandRequest = {
        verb: "fork",
        at,
        ...spoken({ instruction, runId: forkId }),
        ...edited,
        ...caller,
      };
      return forked(await perform(command, signal));
    },
  };
}

/** Twice is once: the id of an input says so. */
function isRepeatable(command: CommandRequest): boolean {
  return command.verb === "send" && command.id !== undefined;
}

type Said<Fields> = { [Name in keyof Fields]?: string };

/** Without what was not said. */
function spoken<Fields extends Readonly<Record<string, string | undefined>>>(fields: Fields): Said<Fields>;
function spoken(fields: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const said: Record<string, string> = {};
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) said[name] = value;
  return said;
}

function sent(receipt: CommandReceipt): SendReceipt {
  if (!receipt.accepted || ("id" in receipt && typeof receipt.id === "string")) return receipt;
  throw otherReceipt();
}

function interrupted(receipt: CommandReceipt): InterruptReceipt {
  if (!receipt.accepted || ("effective" in receipt && typeof receipt.effective === "boolean")) return receipt;
  throw otherReceipt();
}

function forked(receipt: CommandReceipt): ForkReceipt {
  if (!receipt.accepted || ("runId" in receipt && typeof receipt.runId === "string")) return receipt;
  throw otherReceipt();
}

function otherReceipt(): RubatoError {
  return new RubatoError("protocol", "The server answered with the receipt of another command.");
}
