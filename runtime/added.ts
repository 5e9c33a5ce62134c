/**
 * A list with one more item. A first item gets an array of just its size: `push` on an empty one makes room for seventeen, and most lists here
 * are one item long.
 */
export function added<T>(list: T[], item: T): T[] {
  if (list.length === 0) return [item];
  list.push(item);
  return list;
}
