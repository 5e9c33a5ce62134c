import { createActor, type Actor, type InspectionEvent, type Observer } from "xstate";
import { agentMachine } from "../machines/agent.ts";
import { isCut, isTerminal, type Event } from "../machines/events.ts";
import type { AgentState } from "../machines/state.ts";
import { toolCallMachine } from "../machines/tool-call.ts";
import { settle, type AgentObserver } from "./observe.ts";
import type { Run } from "./run.ts";

/** What XState calls an inspector: `createActor(machine, { inspect })` takes the same. */
export type XStateInspector = Observer<InspectionEvent> | ((event: InspectionEvent) => void);

export interface InspectOptions {
  readonly inspector: XStateInspector;
  /** Every token, argument and progress delta too, not only the first of each answer. Default false. */
  readonly hot?: boolean;
}

/** Whether it is an inspector itself, or options that name one. */
export function inspectOptions(given: XStateInspector | InspectOptions): InspectOptions {
  return typeof given === "object" && "inspector" in given ? given : { inspector: given };
}

export function isInspector(given: unknown): boolean {
  if (typeof given === "function") return true;
  if (typeof given !== "object" || given === null) return false;
  if ("inspector" in given) return isInspector(given.inspector);
  return "next" in given && typeof given.next === "function";
}

/**
 * An actor of the agent chart that is driven by the events of a run, for an inspector to look at. The run has no actor itself, so that whatever an
 * inspector does (one that throws stops an XState actor for good) happens here.
 *
 * H1 Each call of a complete message is an actor of the tool-call chart, its child, until the call is settled; then it has ended and nothing here holds it.
 */
export class Shadow {
  private readonly actor: Actor<typeof agentMachine>;
  /** By call id. */
  private readonly calls = new Map<string, Actor<typeof toolCallMachine>>();
  private seq: number;

  /** `state`: where the run stands, where it is looked at from its middle on. */
  constructor(inspector: XStateInspector, runId: string, state?: AgentState) {
    const tell = typeof inspector === "function" ? inspector : (event: InspectionEvent) => inspector.next?.(event);
    this.seq = state?.seq ?? 0;
    this.actor = createActor(agentMachine, {
      id: runId,
      inspect(event) {
        try {
          settle(tell(event));
        } catch {
          // It concerns nobody but the inspector.
        }
      },
      ...(state === undefined || state.seq === 0 ? {} : { snapshot: snapshotOf(state) }),
    });
    this.actor.start();
    for (const { callId, phase, outcome } of state?.core.calls ?? [])
      if (outcome === undefined) this.begin(callId, toolCallMachine.resolveState({ value: phase, context: {} }));
  }

  /** The chart's value, as in `thinking.streaming`. */
  get value(): string {
    return pathOf(this.actor.getSnapshot().value);
  }

  /** An event that it had already, or that lies before where it began, does nothing. */
  take(event: Event): void {
    if (event.seq <= this.seq) return;
    this.seq = event.seq;
    // What is still noted of a cancelled run moves nothing, and XState would print the event, whatever it says.
    if (this.actor.getSnapshot().status !== "active") return;
    this.actor.send(event);
    this.takeCalls(event);
  }

  /** Where each open call stands, by its id. */
  get openCalls(): ReadonlyMap<string, string> {
    return new Map([...this.calls].map(([callId, call]) => [callId, pathOf(call.getSnapshot().value)]));
  }

  /** What an event says to calls, as `step()` gives it to them. */
  private takeCalls(event: Event): void {
    switch (event.type) {
      case "message":
        if (isCut(event.data)) return;
        for (const { callId } of event.data.calls) this.begin(callId).send(event);
        return;
      case "tool_call":
      case "approval_request":
      case "approval":
      case "tool_start":
      case "tool_progress":
        this.calls.get(event.data.callId)?.send(event);
        return;
      case "tool_result": {
        const { callId, late } = event.data;
        const call = late === true ? undefined : this.calls.get(callId);
        call?.send(event);
        if (call?.getSnapshot().status === "done") this.calls.delete(callId);
        return;
      }
      case "owner":
        for (const call of this.calls.values()) call.send(event);
        return;
      default:
    }
  }

  private begin(
    callId: string,
    snapshot?: ReturnType<typeof toolCallMachine.resolveState>,
  ): Actor<typeof toolCallMachine> {
    const at = snapshot === undefined ? {} : { snapshot };
    const call = createActor(toolCallMachine, { id: callId, parent: this.actor, ...at });
    this.calls.set(callId, call);
    call.start();
    return call;
  }
}

function snapshotOf({ core }: AgentState): ReturnType<typeof agentMachine.resolveState> {
  const [top = "", inner] = core.value.split(".");
  return agentMachine.resolveState({ value: inner === undefined ? top : { [top]: inner }, context: core.context });
}

function pathOf(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  const [[key, inner] = ["", ""]] = Object.entries(value);
  return `${key}.${pathOf(inner)}`;
}

/** Shows every run of an agent to an inspector, each as an actor of its own, until it is ended. */
export function shadowObserver({ inspector, hot = false }: InspectOptions): AgentObserver & { end(): void } {
  const shadows = new WeakMap<Run, Shadow>();
  /** Runs whose deltas are listened to: only while they work. */
  const listening = new Map<Run, () => void>();
  return {
    event(event, run) {
      const shadow = shadows.get(run) ?? new Shadow(inspector, run.id, event.seq === 1 ? undefined : run.state);
      shadows.set(run, shadow);
      shadow.take(event);
      if (!hot) return;
      if (isTerminal(event)) {
        listening.get(run)?.();
        listening.delete(run);
      } else if (!listening.has(run)) {
        listening.set(
          run,
          run.subscribe("*", (heard) => {
            shadow.take(heard);
          }),
        );
      }
    },
    failed(_error, run) {
      // It rests without a terminal event.
      listening.get(run)?.();
      listening.delete(run);
    },
    end() {
      for (const leave of listening.values()) leave();
      listening.clear();
    },
  };
}
