/** Waits longer than this are the program's decision, not a server's. */
const MAX_RETRY_AFTER_MS = 60_000;

/** `Retry-After` in seconds or as a date. What is negative, past, absurd or no time at all counts as nothing said. `now` is ms since 1970. */
export function retryAfterMs(header: string | null | undefined, now: number): number | undefined {
  const said = header?.trim() ?? "";
  if (said === "") return undefined;
  const seconds = numberOf(said);
  if (seconds !== undefined) return waitOf(seconds * 1_000);
  // `Date.parse` reads a date of 2001 into "soon 1": what is past is no time to wait until.
  const date = Date.parse(said);
  return Number.isNaN(date) ? undefined : waitOf(date - now);
}

/** The same as a header that says milliseconds. */
export function exactRetryAfterMs(header: string | undefined): number | undefined {
  return waitOf(numberOf(header));
}

function numberOf(text: string | undefined): number | undefined {
  if (text === undefined || !/^[+-]?\d+(\.\d+)?$/.test(text.trim())) return undefined;
  return Number(text);
}

function waitOf(ms: number | undefined): number | undefined {
  return ms !== undefined && ms >= 0 && ms <= MAX_RETRY_AFTER_MS ? ms : undefined;
}
