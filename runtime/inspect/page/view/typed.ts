import type { Json } from "../../../../machines/events.ts";

/** The value that a text is as JSON; undefined where it is none. */
export function jsonIn(text: string): { readonly json: Json } | undefined {
  try {
    return { json: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

/** What was typed; undefined for nothing but blanks. */
export function saidOf(text: string): string | undefined {
  return text.trim() === "" ? undefined : text.trim();
}
