export type {
  Authorize,
  Authorized,
  AuthorizeRequest,
  HandlerOptions,
  ServedAgent,
  ServeOptions,
  ServerAction,
  ServerLimits,
} from "./options.ts";
export {
  commandSchema,
  frameSchema,
  PROTOCOL,
  startSchema,
  TOKEN_PROTOCOL,
  type ClientFrame,
  type CommandReceipt,
  type CommandRequest,
  type CommandVerb,
  type EndReason,
  type ServerFrame,
  type StartRequest,
  type StateJson,
  type WireError,
} from "./protocol.ts";
export { createHandler, serve, type RubatoServer, type ServerHandler } from "./serve.ts";
