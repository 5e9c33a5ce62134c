import type { AgentState, ClientConnection } from "rubato/client";

// What can be said to a run as it stands. It is a courtesy of the page: the server decides, and a command at the wrong moment gets a receipt that says so.

export function isWorking({ status }: AgentState): boolean {
  return status === "thinking" || status === "acting";
}

export function canSend({ status }: AgentState): boolean {
  return status !== "idle" && status !== "cancelled";
}

export function canInterrupt(state: AgentState): boolean {
  return (isWorking(state) || state.status === "waiting") && !state.interruptRequested;
}

export function canResume({ status }: AgentState): boolean {
  return status === "interrupted" || status === "failed";
}

export function statusText({ status, error }: AgentState): string {
  if (status === "waiting") return "waiting for you";
  return status === "failed" && error !== undefined ? `failed: ${error.message}` : status;
}

export function connectionText({ status, attempt, error }: ClientConnection): string {
  if (status === "open") return "connected";
  if (status === "reconnecting") return `reconnecting (${attempt})`;
  return status === "failed" && error !== undefined ? `failed: ${error.message}` : status;
}

/** What a receipt tells the person: nothing where all went well. */
export function receiptText(receipt: {
  readonly accepted: boolean;
  readonly reason?: string;
  readonly message?: string;
}): string {
  return receipt.accepted ? "" : `Not done: ${receipt.message ?? receipt.reason ?? "refused"}`;
}
