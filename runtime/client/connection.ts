import type { Event } from "../../machines/events.ts";
import type { RubatoError } from "../errors.ts";
import type { CommandReceipt, CommandRequest } from "../server/protocol.ts";

/** How one connection ended, for whoever decides about the next one. */
export type ConnectionEnd =
  /** Nothing will ever come: the run was cancelled, and all of it was delivered. */
  | { readonly kind: "over" }
  /** Asked for again it ends the same way. */
  | { readonly kind: "fatal"; readonly error: RubatoError }
  /** This way of connecting does not work here, or cannot say why it did not. */
  | { readonly kind: "unopened"; readonly error: RubatoError }
  | {
      readonly kind: "cut";
      readonly error: RubatoError;
      /** The server ended it on purpose: it lives. */
      readonly orderly?: boolean;
      /** It asked to come again, for no fault of anybody. */
      readonly atOnce?: boolean;
      /** What it asks to wait, ms. */
      readonly retryAfterMs?: number | undefined;
    };

/** What a connection tells. Nothing after `onEnd`, which comes once, and nothing after `close()`. */
export interface ConnectionEvents {
  readonly onOpen: () => void;
  /** A sign of life that is no event. */
  readonly onBeat: () => void;
  readonly onEvents: (events: readonly Event[]) => void;
  readonly onEnd: (end: ConnectionEnd) => void;
}

/**
 * One line to the server: a response that streams, or a socket.
 *
 * L1 Every way out (its end, a cut, silence, `close`) stops its timers and lets its line go, at once and for good.
 * L2 While it is paused it hands out nothing; what was under way when it was paused is at most what one read holds.
 * L3 Two heartbeats without a byte mean that it is dead, but not while it is paused.
 */
export interface Connection {
  pause(): void;
  resume(): void;
  close(): void;
  /** A command on the same line. Rejects with a {@link LineCut} where the line ends before the receipt. Absent where the line goes one way. */
  readonly command?: (command: CommandRequest) => Promise<CommandReceipt>;
}

/** The line ended while an answer was awaited. */
export class LineCut extends Error {}
