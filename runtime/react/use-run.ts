import { useMemo, useState, useSyncExternalStore } from "react";
import type { Fault } from "../../machines/events.ts";
import type { AgentState, Status } from "../../machines/state.ts";
import type { Client, StartOptions } from "../client/client.ts";
import type { RunCommands } from "../client/commands.ts";
import type { ClientConnection, ClientRun } from "../client/run.ts";
import { messageOf, RubatoError } from "../errors.ts";
import { chatMessages, type ChatMessage } from "../client/chat-messages.ts";
import { createRunStore, NOTHING, type RunSnapshot, type RunStore } from "./run-store.ts";

export type StartReceipt =
  | { readonly accepted: true; readonly runId: string }
  | { readonly accepted: false; readonly reason: string; readonly message?: string };

/**
 * A run as a component sees it. Its functions are the same ones at every rendering and never reject: what could not be asked stands in `error`, and is answered
 * as `{ accepted: false, reason }` with the error's code.
 */
export interface UseRun extends RunCommands {
  /** Undefined before `start`. */
  readonly runId: string | undefined;
  /** The conversation, with the answer that streams and what waits to be heard. The same array until something changed. */
  readonly messages: readonly ChatMessage[];
  readonly status: Status;
  /** An answer is coming in now. */
  readonly isStreaming: boolean;
  /** Of the connection or of the last command; else why the last turn failed. */
  readonly error: Fault | undefined;
  readonly connection: ClientConnection;
  readonly state: AgentState;
  /** Begins a run, which is shown from then on. */
  readonly start: (task: string, options?: StartOptions) => Promise<StartReceipt>;
}

/**
 * Follows a run, or begins one with `start`. Unmounting lets the connection go and stops nothing; `interrupt` does. The client is one object that outlives
 * renderings.
 */
export function useRun(client: Client, runId?: string): UseRun {
  const [held, setHeld] = useState(() => hold(client, runId));
  let { store, commands } = held;
  if (held.client !== client || held.asked !== runId) {
    const next = hold(client, runId);
    ({ store, commands } = next);
    setHeld(next);
  }
  const snapshot = useSyncExternalStore(store.subscribe, store.snapshot, nothing);
  const { state, connection } = snapshot;
  const messages = useMemo(() => chatMessages(state), [state]);
  return {
    ...commands,
    runId: snapshot.runId,
    messages,
    status: state.status,
    isStreaming: state.value === "thinking.streaming",
    error: snapshot.error ?? state.error,
    connection,
    state,
  };
}

/** On a server that draws pages nobody follows a run. */
function nothing(): RunSnapshot {
  return NOTHING;
}

type Commands = RunCommands & Pick<UseRun, "start">;

interface Held {
  readonly client: Client;
  readonly asked: string | undefined;
  readonly store: RunStore;
  readonly commands: Commands;
}

function hold(client: Client, asked: string | undefined): Held {
  const store = createRunStore(client, asked);
  return { client, asked, store, commands: commandsOf(client, store) };
}

type Refused = { readonly accepted: false; readonly reason: string; readonly message: string };

function commandsOf(client: Client, store: RunStore): Commands {
  async function asked<Receipt>(does: (run: ClientRun) => Promise<Receipt>): Promise<Receipt | Refused> {
    const run = store.run();
    if (run === undefined)
      return { accepted: false, reason: "not_started", message: "There is no run yet: start one." };
    return safely(() => does(run));
  }

  async function safely<Receipt>(does: () => Promise<Receipt>): Promise<Receipt | Refused> {
    try {
      const receipt = await does();
      store.recover();
      return receipt;
    } catch (error) {
      store.fail(error);
      const reason = error instanceof RubatoError ? error.code : "internal";
      return { accepted: false, reason, message: messageOf(error) };
    }
  }

  return {
    start: (task, options) =>
      safely(async () => {
        const run = await client.start(task, options);
        store.show(run);
        return { accepted: true, runId: run.id };
      }),
    send: (text, options) => asked((run) => run.send(text, options)),
    interrupt: (reason, options) => asked((run) => run.interrupt(reason, options)),
    resume: (instruction, options) => asked((run) => run.resume(instruction, options)),
    approve: (callId, options) => asked((run) => run.approve(callId, options)),
    reject: (callId, reason, options) => asked((run) => run.reject(callId, reason, options)),
    settleCall: (callId, result, options) => asked((run) => run.settleCall(callId, result, options)),
    cancel: (reason, options) => asked((run) => run.cancel(reason, options)),
    fork: (options) => asked((run) => run.fork(options)),
  };
}
