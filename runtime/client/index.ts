export type { Event, EventOf, EventType } from "../../machines/events.ts";
export type { AgentState, Status } from "../../machines/state.ts";
export { RubatoError, type RubatoErrorCode } from "../errors.ts";
export type { Reconnect } from "./backoff.ts";
export { createClient, type Client, type RunsQuery, type StartOptions } from "./client.ts";
export type { ClientForkOptions, ClientResumeOptions, CommandOptions, ForkReceipt, RunCommands } from "./commands.ts";
export type { ClientOptions, ClientSocket, ClientSocketConstructor, QueueLimits } from "./options.ts";
export type { AttachOptions, ClientConnection, ClientReadOptions, ClientRun } from "./run.ts";
export type { ConnectionStatus } from "./stream.ts";
