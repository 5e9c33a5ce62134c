import type { EventData, PartialPolicy } from "../machines/events.ts";
import type { AgentState } from "../machines/state.ts";
import type { TraceHeaders } from "../machines/trace-context.ts";
import type { OpenOptions } from "./agent-options.ts";
import type { Bus } from "./bus.ts";
import type { RubatoError } from "./errors.ts";
import type { Lane } from "./lane.ts";
import type { Overflow } from "./overflow.ts";
import type { AgentSetup, OwnerSetup } from "./owner.ts";
import type { EventPattern } from "./pattern.ts";
import type { Definition } from "./recovery.ts";
import type { Receipt, Run } from "./run.ts";
import type { Listener } from "./subscriber.ts";

/** What an agent gives each of its runs. */
export interface RunSetup<Context> extends OwnerSetup<Context> {
  readonly agent: RunsAgent<Context>;
  readonly context: Context;
  readonly signal: AbortSignal | undefined;
  /** The agent's runs: to be told when this one comes to rest, and when it leaves its rest. */
  readonly held: { rested(owned: OwnedRun<Context>, atRest: boolean): void };
}

/** The agent, as its runs know it. */
export interface RunsAgent<Context> extends AgentSetup<Context> {
  readonly definition: Definition;
  /** How long a command waits for the owner in another process, ms. */
  readonly answerTimeoutMs: number;
  readonly isClosed: () => boolean;
}

export interface RecoverOptions {
  readonly takeover: boolean;
  readonly allowChanged: boolean;
  readonly why: EventData<"owner">["why"];
}

/** How a run goes on that is resumed. */
export interface ResumeWay {
  readonly partial: PartialPolicy;
  readonly budget?: Readonly<Record<string, number>> | undefined;
  readonly caller?: TraceHeaders | undefined;
}

/** Why a run was not taken over; `message` says more where one word is not enough. */
export type TakeOverReceipt = Receipt | { readonly accepted: false; readonly reason: string; readonly message: string };

/** A run together with what only its agent may touch. */
export interface OwnedRun<Context = unknown> {
  readonly run: Run;
  readonly bus: Bus;
  /** It never owned its log, or lost it. */
  readonly failed: () => boolean;
  /** Why. */
  readonly failure: () => RubatoError | undefined;
  /** Somebody needs it to stay: it works in the background, or somebody waits for another process's run. */
  readonly busy: () => boolean;
  /** This process owns it. */
  readonly owns: () => boolean;
  /** Subscribes in a lane that is shared with other runs. */
  subscribe<Pattern extends EventPattern, Policy extends Overflow>(
    pattern: Pattern,
    listener: Listener<Pattern, Policy>,
    lane: Lane,
  ): () => void;
  /** Records the first events. */
  readonly begin: (start: EventData<"run_start">, input: string) => void;
  /** Makes this process the owner of a run that another one had, and has it go on. */
  readonly takeOver: (
    options: RecoverOptions,
    instruction: string | undefined,
    how: ResumeWay,
  ) => Promise<TakeOverReceipt>;
  /** Owns a fork that was just copied under this epoch: it comes to rest, or goes on with an instruction. */
  readonly beginFork: (epoch: number, instruction: string | undefined, caller?: TraceHeaders) => Promise<Receipt>;
  /** What somebody who opens the run gives. Ignored once this process owns it. */
  readonly supply: (supplied: OpenOptions<Context>) => void;
  /** Gives up the ownership of a run at rest: whoever has the run can go on with it, and claims it anew. */
  readonly letGo: () => Promise<void>;
  /** Interrupts now, waits for rest, ends background work, lets go. */
  readonly close: () => Promise<void>;
}

/** Where an existing run stands. */
export interface Found {
  readonly state: AgentState;
  readonly owned: boolean;
}
