import { readTraceparent, readTracestate, traceHeaders, type TraceHeaders } from "../machines/trace-context.ts";
import { LONGEST_TIMER_MS } from "./clock.ts";
import { RubatoError } from "./errors.ts";
import type { CallerOptions } from "./run.ts";

/** A text that a person says must not be empty. */
export function checkText(what: string, text: string): void {
  if (typeof text !== "string" || text.trim() === "") {
    throw new RubatoError("invalid_input", `${what} needs a text that is not empty. Say what the agent should do.`);
  }
}

export function checkOption(name: string, received: unknown, ok: boolean, expected: string): void {
  if (!ok) throw new RubatoError("invalid_option", `Option "${name}" must be ${expected}; received ${show(received)}.`);
}

function show(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return typeof value;
  }
}

/** A key that nothing reads is a spelling mistake that would stay silent. */
export function checkKeys(where: string, options: object, known: readonly string[]): void {
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue;
    throw new RubatoError("invalid_option", `${where} has no option "${key}". Its options: ${known.join(", ")}.`);
  }
}

/** Milliseconds that a timer can hold: a longer one would ring at once. */
export function isDelay(value: number, least: number): boolean {
  return Number.isFinite(value) && value >= least && value <= LONGEST_TIMER_MS;
}

/** Words of a command, which are recorded as they are. */
export function checkWords(words: Readonly<Record<string, unknown>>): void {
  for (const [name, word] of Object.entries(words)) checkOption(name, word, typeof word === "string", "a text");
}

/** The trace context that a program gives, where it gives one. What comes over the wire is not the program's fault: there a wrong one is none. */
export function checkCaller({ traceparent, tracestate }: CallerOptions): TraceHeaders | undefined {
  if (traceparent === undefined && tracestate === undefined) return undefined;
  const traced = typeof traceparent === "string" && readTraceparent(traceparent) !== undefined;
  checkOption("traceparent", traceparent, traced, "a W3C traceparent, 00-TRACE-SPAN-FLAGS");
  const stated = tracestate === undefined || tracestate.trim() === "" || readTracestate(tracestate) !== undefined;
  checkOption("tracestate", tracestate, stated, "a W3C tracestate, KEY=VALUE,KEY=VALUE");
  return traceHeaders(traceparent, tracestate);
}

/** 1 to 128 characters. */
export function isInputId(id: unknown): boolean {
  return typeof id === "string" && id !== "" && id.length <= 128;
}

export function checkGrace(graceMs: number | undefined): void {
  const ok = graceMs === undefined || isDelay(graceMs, 0);
  checkOption("graceMs", graceMs, ok, "milliseconds from 0 to 2147483647");
}
