/**
 * A list that only grows, shared by all versions of the state.
 *
 * Invariants:
 * T1 `items[0 .. length)` of a version never changes.
 * T2 An append writes behind the newest version's end, or copies first where another branch already wrote there. So a version never shows
 *    what came after it, and appending to the newest version costs no copy of the history.
 */
export interface Timeline<T> {
  /** Shared storage. May be longer than this version: read only up to `length`. */
  readonly items: T[];
  readonly length: number;
}

export function emptyTimeline<T>(): Timeline<T> {
  return { items: [], length: 0 };
}

/** A timeline of these items, which becomes the owner of the array. */
export function timelineOf<T>(items: T[]): Timeline<T> {
  return { items, length: items.length };
}

/** The version with more items. */
export function append<T>(timeline: Timeline<T>, added: readonly T[]): Timeline<T> {
  const { length } = timeline;
  const items = timeline.items.length === length ? timeline.items : timeline.items.slice(0, length);
  for (const item of added) items.push(item);
  return { items, length: length + added.length };
}

/** The version without its last item. The storage stays as it is, so the next append copies. */
export function withoutLast<T>(timeline: Timeline<T>): Timeline<T> {
  return { items: timeline.items, length: Math.max(0, timeline.length - 1) };
}

/** The items of this version, in an array of its own. */
export function itemsOf<T>(timeline: Timeline<T>): T[] {
  return timeline.items.slice(0, timeline.length);
}
