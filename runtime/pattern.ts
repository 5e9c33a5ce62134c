import { EVENT_TYPES, type Event, type EventOf, type EventType } from "../machines/events.ts";
import { checkOption } from "./checks.ts";

/** An event type, a prefix such as `tool_*`, or `*`. */
export type EventPattern = EventType | "*" | Prefixes<EventType>;
type Prefixes<Type extends string> = Type extends `${infer Head}_${string}` ? `${Head}_*` : never;

/** The events that a pattern lets through. */
export type EventFor<Pattern extends EventPattern> = Pattern extends "*"
  ? Event
  : Pattern extends `${infer Head}_*`
    ? Extract<Event, { type: `${Head}_${string}` }>
    : Pattern extends EventType
      ? EventOf<Pattern>
      : never;

/** Every type that a pattern names. Unknown patterns name none. */
export function typesOf(pattern: string): readonly EventType[] {
  if (pattern === "*") return EVENT_TYPES;
  if (!pattern.endsWith("_*")) return EVENT_TYPES.filter((type) => type === pattern);
  const prefix = pattern.slice(0, -1);
  return EVENT_TYPES.filter((type) => type.startsWith(prefix));
}

/** For what is called with a pattern: throws when it names no event type. */
export function checkPattern(pattern: string): void {
  checkOption("pattern", pattern, typesOf(pattern).length > 0, 'an event type, a prefix such as "tool_*", or "*"');
}
