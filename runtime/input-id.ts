import { randomUUID } from "node:crypto";

/** The id of a run's first input; no later one may have it. */
export const FIRST_INPUT = "start";

export function newInputId(): string {
  return `in_${randomUUID()}`;
}
