import { isAtRest, type AgentState } from "../../machines/state.ts";
import { describeDuration } from "./describe-duration.ts";
import { oneLine } from "./sanitizer.ts";
import type { Theme } from "./theme.ts";
import { columnsOf, fit } from "./wrap.ts";

/** What the line shows besides the state. */
export interface StatusFacts {
  /** How long the turn has gone on, ms. */
  readonly elapsedMs: number;
  /** The latest progress of running calls, by `callId`. */
  readonly progress: ReadonlyMap<string, string>;
  /** What the retry that it waits for is due to. */
  readonly retryFor?: string | undefined;
  /** Ms since 1970, for the time until then. */
  readonly now?: number;
  /** Another note, such as that the program is leaving. */
  readonly note?: string | undefined;
}

/**
 * The chart and the figures of a run: `idle > THINKING > acting   step 2 · 4.2 s · ~53 tokens`. Where `width` columns do not hold it, the
 * figures are cut first.
 */
export function statusLine(state: AgentState | undefined, facts: StatusFacts, theme: Theme, width: number): string {
  const path = pathOf(state);
  const chart = path.map((name) => (name === activeOf(state) ? name.toUpperCase() : name)).join(" > ");
  if (columnsOf(chart) > width) return fit(activeOf(state).toUpperCase(), width);
  const figures = figuresOf(state, facts).join(" · ");
  const room = width - columnsOf(chart) - GAP.length;
  const shown = figures === "" || room < 2 ? "" : GAP + theme.dim(fit(figures, room));
  return paintChart(path, activeOf(state), theme) + shown;
}

const GAP = "   ";

function activeOf(state: AgentState | undefined): string {
  return state === undefined ? "idle" : (state.value.split(".", 1)[0] ?? "idle");
}

/** The states of the chart in the order of a turn; how it ended stands behind them. */
function pathOf(state: AgentState | undefined): string[] {
  const path = ["idle", "thinking", "acting"];
  const active = activeOf(state);
  return path.includes(active) ? path : [...path, active];
}

function paintChart(path: readonly string[], active: string, theme: Theme): string {
  return path
    .map((name) => (name === active ? theme.bold(theme.accent(name.toUpperCase())) : theme.dim(name)))
    .join(theme.dim(" > "));
}

function figuresOf(state: AgentState | undefined, facts: StatusFacts): string[] {
  const { elapsedMs, progress, note } = facts;
  const figures: string[] = [];
  if (state !== undefined && state.turn > 0) {
    // First, because the end is cut where the terminal is narrow.
    if (!isAtRest(state) && state.interruptRequested) figures.push(stopNote(state));
    figures.push(`step ${state.step}`);
    const running = state.core.calls.filter((call) => call.phase === "running");
    for (const { callId, name } of running.slice(0, 3)) {
      const said = progress.get(callId);
      figures.push(said === undefined ? oneLine(name, 40) : `${oneLine(name, 40)} ${said}`);
    }
    if (running.length > 3) figures.push(`and ${running.length - 3} more`);
    figures.push(...waitsFor(state, facts));
    figures.push(elapsedMs < 1_000 ? `${(elapsedMs / 1_000).toFixed(1)} s` : describeDuration(elapsedMs));
    const tokens = describeTokens(state);
    if (tokens !== "") figures.push(tokens);
  }
  if (note !== undefined) figures.push(note);
  return figures;
}

/** What it waits for: a person, or the time of a retry. */
export function waitsFor(
  { pendingApprovals, retry }: AgentState,
  { retryFor, now = 0 }: Pick<StatusFacts, "retryFor" | "now">,
): string[] {
  const figures: string[] = [];
  if (retry !== undefined) {
    const left = Math.max(0, Math.ceil(((retry.dueAt ?? now) - now) / 1_000));
    const why = retryFor === undefined ? "" : `: ${oneLine(retryFor, 60)}`;
    figures.push(`retry ${retry.attempt} ${left === 0 ? "now" : `in ${left} s`}${why}`);
  }
  if (pendingApprovals.length > 0) {
    const names = pendingApprovals.map(({ name }) => oneLine(name, 40));
    figures.push(`waits for you: ${names.slice(0, 3).join(", ")}${names.length > 3 ? ", ..." : ""}`);
  }
  return figures;
}

/** Tokens in and out. While an answer streams nobody has counted them: an estimate, marked `~`. A `+` says that some were never counted. */
export function describeTokens({ usage, partial }: AgentState): string {
  const streamed = partial === undefined ? 0 : partial.text.length - partial.base.length + partial.reasoning.length;
  if (streamed > 0) return `~${short(usage.outputTokens + Math.ceil(streamed / 4))} tokens`;
  const { inputTokens, outputTokens, unknownRequests } = usage;
  if (inputTokens + outputTokens === 0) return "";
  const more = unknownRequests === 0 ? "" : "+";
  return `${short(inputTokens)}${more} in, ${short(outputTokens)}${more} out`;
}

function short(count: number): string {
  return count < 1_000 ? String(count) : `${(count / 1_000).toFixed(count < 10_000 ? 1 : 0)}k`;
}

function stopNote({ core }: AgentState): string {
  return core.context.interrupt === "step" ? "stops after this step" : "stopping";
}
