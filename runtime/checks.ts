import { RubatoError } from "./errors.ts";

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
  return Number.isFinite(value) && value >= least && value <= 2_147_483_647;
}
