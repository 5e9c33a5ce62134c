import type { Explanation } from "../../machines/explain.ts";

/** Which guards the chart asked and which branch it took; undefined where there was nothing to decide. */
export function describeDecision({ from, event, considered, to }: Explanation): string | undefined {
  if (to === undefined || to === from || !considered.some(({ guard }) => guard !== undefined)) return undefined;
  const asked = considered.map(({ guard, passed }) =>
    guard === undefined ? "else" : `${guard} ${passed ? "yes" : "no"}`,
  );
  return `${event} in ${from}: ${asked.join(", ")} → ${to}`;
}
