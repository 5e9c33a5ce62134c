export type { ChatMessage } from "../client/chat-messages.ts";
export { useRun, type StartReceipt, type UseRun } from "./use-run.ts";
