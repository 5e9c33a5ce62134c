import { isAtRest, type AgentState } from "../../machines/state.ts";
import { describeDuration } from "./describe-interrupt.ts";
import { oneLine } from "./sanitizer.ts";
import type { Theme } from "./theme.ts";

/** What the line shows besides the state. */
export interface StatusFacts {
  /** How long the turn has gone on, ms. */
  readonly elapsedMs: number;
  /** The latest progress of running calls, by `callId`. */
  readonly progress: ReadonlyMap<string, string>;
  /** Another note, such as that the program is leaving. */
  readonly note?: string | undefined;
}

/** The chart and the figures of a run: `idle > THINKING > acting   step 2 · 4.2 s · ~53 tokens`. Its pieces, for a screen that cuts to width. */
export function statusLine(state: AgentState | undefined, facts: StatusFacts, theme: Theme): string {
  const figures = figuresOf(state, facts).map((figure) => theme.dim(figure));
  return [chartLine(state, theme), ...(figures.length === 0 ? [] : [figures.join(theme.dim(" · "))])].join("   ");
}

/** The states of the chart in the order of a turn, the active one in upper case. */
export function chartLine(state: AgentState | undefined, theme: Theme): string {
  const active = state === undefined ? "idle" : (state.value.split(".", 1)[0] ?? "idle");
  const path = ["idle", "thinking", "acting"];
  if (!path.includes(active)) path.push(active);
  return path
    .map((name) => (name === active ? theme.bold(theme.accent(name.toUpperCase())) : theme.dim(name)))
    .join(theme.dim(" > "));
}

function figuresOf(state: AgentState | undefined, { elapsedMs, progress, note }: StatusFacts): string[] {
  const figures: string[] = [];
  if (state !== undefined && state.turn > 0) {
    figures.push(`step ${state.step}`);
    const running = state.core.calls.filter((call) => call.phase === "running");
    for (const { callId, name } of running.slice(0, 3)) {
      const said = progress.get(callId);
      figures.push(said === undefined ? oneLine(name, 40) : `${oneLine(name, 40)} ${said}`);
    }
    if (running.length > 3) figures.push(`and ${running.length - 3} more`);
    if (state.value === "thinking.backoff") figures.push("waits to try again");
    figures.push(
      elapsedMs < 1_000 ? "0.0 s".replace("0.0", (elapsedMs / 1_000).toFixed(1)) : describeDuration(elapsedMs),
    );
    const tokens = describeTokens(state);
    if (tokens !== "") figures.push(tokens);
    if (!isAtRest(state) && state.interruptRequested) figures.push(stopNote(state));
  }
  if (note !== undefined) figures.push(note);
  return figures;
}

/** While an answer streams nobody has counted its tokens: an estimate, marked as one. */
export function describeTokens({ usage, partial }: AgentState): string {
  const streamed = partial === undefined ? 0 : partial.text.length - partial.base.length + partial.reasoning.length;
  if (streamed > 0) return `~${usage.outputTokens + Math.ceil(streamed / 4)} tokens`;
  const { inputTokens, outputTokens, unknownRequests } = usage;
  if (inputTokens + outputTokens === 0) return "";
  const uncounted = unknownRequests === 0 ? "" : ` (${unknownRequests} not counted)`;
  return `${inputTokens} + ${outputTokens} tokens${uncounted}`;
}

function stopNote({ core }: AgentState): string {
  return core.context.interrupt === "step" ? "stops after this step, Esc again: now" : "stopping";
}
