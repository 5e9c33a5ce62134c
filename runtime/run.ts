import type { Event, Json, PartialPolicy } from "../machines/events.ts";
import type { AgentState } from "../machines/state.ts";
import type { BatchOptions } from "./batches.ts";
import type { BusStats } from "./bus.ts";
import type { Outcome } from "./outcome.ts";
import type { Overflow, SubscribeOptions } from "./overflow.ts";
import type { EventPattern } from "./pattern.ts";
import type { ReadOptions } from "./reader.ts";
import type { Listener } from "./subscriber.ts";

/** A command's answer. `seq` is the event that recorded it; `reason` is one word, `message` a sentence where a word is not enough. */
export type Receipt =
  | { readonly accepted: true; readonly seq: number }
  | { readonly accepted: false; readonly reason: string; readonly message?: string };

/**
 * W3C Trace Context of whoever asks, as the headers of a request say it (`propagation.inject` writes the same): the turn that the command begins belongs
 * to that trace, and one that is under way is linked to it.
 */
export interface CallerOptions {
  readonly traceparent?: string | undefined;
  /** Says nothing without the other. */
  readonly tracestate?: string | undefined;
}

/** What an interrupt did. */
export type InterruptReceipt =
  | {
      readonly accepted: true;
      readonly seq: number;
      /** False when something else overtook it (a cancel), or when it was asked from inside a tool and is only recorded yet. */
      readonly effective: boolean;
      /** The chart's state when it was asked for, such as `thinking.streaming`. */
      readonly where?: string;
      readonly step?: number;
      /** UTF-16 units of the partial answer that were kept. */
      readonly keptChars?: number;
      /** From the command to the moment when everything was quiet, ms. */
      readonly latencyMs?: number;
    }
  | { readonly accepted: false; readonly reason: string; readonly message?: string };

export type SendReceipt =
  | { readonly accepted: true; readonly seq: number; readonly id: string }
  | { readonly accepted: false; readonly reason: string; readonly message?: string };

export interface InterruptOptions {
  /** `step` (default) stops at the next step boundary; `now` aborts what is in flight and keeps what there is. */
  readonly mode?: "step" | "now";
  /** How long executing tools get to stop, ms. Default: the agent's `graceMs`. */
  readonly graceMs?: number;
  /** Who asks, for the log. Default `user`. */
  readonly by?: string;
}

export interface ResumeOptions extends CallerOptions {
  /** What becomes of the text of a cut answer: `keep` (default), `continue` (the model goes on in it), `discard`. */
  readonly partial?: PartialPolicy;
  /** Raises a budget that the run rests at. */
  readonly budget?: Readonly<Record<string, number>>;
  readonly by?: string;
}

export interface ApproveOptions extends CallerOptions {
  /** What it runs with instead. Validated like the model's own. */
  readonly args?: Json;
  /** For a tool that asks: the person's answer, its result. Any other tool finds it in `ctx.answer`. */
  readonly answer?: string;
  /** The tool's later calls in this run, and those that wait now, are approved as well; not in a fork of it. Not for a tool that asks. */
  readonly forRun?: boolean;
  /** Of the arguments that the person saw (`state.pendingApprovals`): an approval of others is refused. */
  readonly argsHash?: string;
  /** Who says so, for the log. Default `user`. */
  readonly by?: string;
}

export interface RejectOptions extends CallerOptions {
  /** Who says so, for the log. Default `user`. */
  readonly by?: string;
}

export interface SendOptions extends CallerOptions {
  /** `step` (default): heard at the next step boundary. `now`: redirects at once. `done`: follows after the answer. */
  readonly when?: "now" | "step" | "done";
  /** The same id twice is one input. */
  readonly id?: string;
}

/**
 * One conversation with an agent. Iterating gives every event from the first on and ends when the run is at rest; a run that goes on later can
 * be iterated on from a cursor.
 *
 * Commands never throw for the wrong moment: they answer why not, and the log stays as it was. They reject for options that do not exist or make no sense. From inside a tool they resolve as soon as
 * they are recorded.
 */
export interface Run extends AsyncIterable<Event> {
  readonly id: string;
  /** The accepted head: what has happened, durable or not. */
  readonly state: AgentState;
  /** Seq of the last event that is stored. Only cursors up to here are worth keeping. */
  readonly durableSeq: number;
  /** Events from a cursor on, for any number of readers. */
  events(options?: ReadOptions): AsyncIterableIterator<Event>;
  /**
   * The same in batches, for servers and clients: arrays of 1 to 256 events, in order. What was told before comes in pages, read from the log; what
   * comes while a batch is handled waits in a queue, and comes one by one while that is less than 30 % full, by five up to 70 %, and in large
   * groups above. `overflow` says what happens when it is full; by default the rest is read from the log later.
   *
   * It ends where `events` does, and when `signal` aborts. Rejects with {@link RubatoError} `log` when the log cannot be read, and `overflow` when it
   * was too slow for `overflow: "disconnect"`.
   */
  batches(options?: BatchOptions): AsyncIterableIterator<readonly Event[]>;
  /** The last events of a pattern (default all), oldest first; at most `limit` (default 50), read from the log. */
  history(pattern?: EventPattern, limit?: number): Promise<Event[]>;
  /**
   * Calls the listener with each new event of the pattern; answers its undo. One that answers a promise gets its next event when that is settled.
   * What comes meanwhile waits in a queue of 1,000 events and 1 MiB, or as `queue` says; what a full queue does with it is said by `overflow`, and
   * by default it is read from the log later. However slow it is, the run is not held up, but by `block`.
   */
  subscribe<Pattern extends EventPattern, Policy extends Overflow = "catch-up">(
    pattern: Pattern,
    listener: Listener<Pattern, Policy>,
    options?: SubscribeOptions<Policy>,
  ): () => void;
  /** Resolves when everything is quiet, with what was kept. */
  interrupt(reason?: string, options?: InterruptOptions): Promise<InterruptReceipt>;
  /** Goes on after an interrupt, a limit or a failure, with a new instruction or without. */
  resume(instruction?: string, options?: ResumeOptions): Promise<Receipt>;
  /** Says something, at any time: it steers, redirects, follows up, or starts the next turn. */
  send(text: string, options?: SendOptions): Promise<SendReceipt>;
  /** Ends the run for good, once everything in flight is settled. */
  cancel(reason?: string, options?: { readonly graceMs?: number; readonly by?: string }): Promise<Receipt>;
  /**
   * Allows a call that waits, as it is or with edited arguments. Not accepted: `not_waiting` (another call, answered already, or over), `expired`,
   * `invalid_args` and `answer_needed` (`message` says what does not fit), `other_args`.
   */
  approve(callId: string, options?: ApproveOptions): Promise<Receipt>;
  /** Refuses a call that waits: the model is told so, with the reason. */
  reject(callId: string, reason?: string, options?: RejectOptions): Promise<Receipt>;
  /**
   * Says how a call ended whose process died while it executed (listed in `pending`): its one result. The run stays at rest until it is resumed.
   */
  settleCall(callId: string, result: { readonly output: Json } | { readonly error: string }): Promise<Receipt>;
  /**
   * Resolves when the run is at rest, with how it stood then. Never rejects. A tool of the run must not await it: the run does not rest while
   * the tool runs.
   */
  settled(): Promise<Outcome>;
  /**
   * Starts work beside the run, owned by it: aborted when the agent closes, and recorded as an `error` event when it fails. False when there
   * are 1,000 already or the agent was closed.
   */
  background(name: string, task: (signal: AbortSignal) => Promise<unknown>): boolean;
  stats(): BusStats & { readonly tasks: number };
}
