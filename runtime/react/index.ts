export type { ChatMessage } from "./chat-messages.ts";
export { useRun, type StartReceipt, type UseRun } from "./use-run.ts";
