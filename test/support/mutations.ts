import type { Event } from "rubato/machines";

/** One way in which a stored log can differ from what was recorded. */
export interface Mutation {
  readonly what: string;
  /** Of the first event that is not what it was. */
  readonly seq: number;
  readonly events: readonly Event[];
}

type Mutable = { [key: string]: unknown };

/** Every event missing, doubled, swapped with the next, or with a strange one before it. The last event's deletion is not among them: nothing in a log tells its end. */
export function structural(events: readonly Event[]): Mutation[] {
  const mutations: Mutation[] = [];
  for (const [index, event] of events.entries()) {
    const { seq, type } = event;
    const next = events[index + 1];
    const name = (deed: string): string => `${deed} seq ${seq} (${type})`;
    if (next !== undefined) {
      mutations.push({ what: name("delete"), seq, events: events.toSpliced(index, 1) });
      mutations.push({ what: name("swap"), seq, events: events.toSpliced(index, 2, next, event) });
    }
    mutations.push({ what: name("double"), seq: seq + 1, events: events.toSpliced(index, 0, event) });
    const strange: Event = { ...event, type: "custom", data: { name: "inserted", data: null } };
    mutations.push({ what: name("insert before"), seq, events: events.toSpliced(index, 0, strange) });
  }
  return mutations;
}

/** Every field of every event with another value of its type, and every field left out. `what` begins with the type and the path. */
export function flips(events: readonly Event[]): Mutation[] {
  const mutations: Mutation[] = [];
  for (const [index, event] of events.entries()) {
    for (const path of paths(event)) {
      for (const deed of ["change", "drop"] as const) {
        const copy: unknown = JSON.parse(JSON.stringify(event));
        if (!mutate(copy, path, deed) || !looksLikeEvent(copy)) continue;
        const shown = path.map((key) => (/^\d+$/.test(key) ? "*" : key)).join(".");
        mutations.push({
          what: `${deed} ${event.type}.${shown}`,
          seq: event.seq,
          events: events.toSpliced(index, 1, copy),
        });
      }
    }
  }
  return mutations;
}

/** What a damaged store answers has the type of an event and need not be one. */
function looksLikeEvent(value: unknown): value is Event {
  return typeof value === "object" && value !== null;
}

/** The paths to all values that are no objects. */
function paths(value: unknown, at: readonly string[] = []): string[][] {
  if (typeof value !== "object" || value === null) return [[...at]];
  return Object.entries(value).flatMap(([key, inner]) => paths(inner, [...at, key]));
}

function isMutable(value: unknown): value is Mutable {
  return typeof value === "object" && value !== null;
}

function mutate(root: unknown, path: readonly string[], deed: "change" | "drop"): boolean {
  let holder = root;
  for (const key of path.slice(0, -1)) holder = isMutable(holder) ? holder[key] : undefined;
  const key = path.at(-1);
  if (!isMutable(holder) || key === undefined) return false;
  if (deed === "drop") return Array.isArray(holder) ? holder.splice(Number(key), 1).length > 0 : delete holder[key];
  const value = holder[key];
  if (typeof value === "number") holder[key] = value + 1;
  else if (typeof value === "boolean") holder[key] = !value;
  else if (typeof value === "string") holder[key] = flipped(value);
  else return false;
  return true;
}

function flipped(text: string): string {
  if (text === "") return "x";
  const last = text.at(-1) === "x" ? "y" : "x";
  return text.slice(0, -1) + last;
}
