import type { EventData } from "../../machines/events.ts";
import { describeDuration } from "./describe-duration.ts";
import { oneLine } from "./sanitizer.ts";

/** Says at which limit a run rests, and what a person raises who begins the next one. */
export function describeLimit({ kind, used, max }: EventData<"limit">): string {
  switch (kind) {
    case "max_steps":
      return `stopped at the limit of ${plural(max, "step")} per turn (raise it with --max-steps)`;
    case "input_tokens":
      return `stopped at the limit of ${plural(max, "input token")} (${used} used)`;
    case "output_tokens":
      return `stopped at the limit of ${plural(max, "output token")} (${used} used)`;
    case "tool_calls":
      return `stopped at the limit of ${plural(max, "tool call")} (${used} made)`;
    case "cost":
      return `stopped at the limit of cost, ${max} (${Number(used.toPrecision(3))} spent)`;
    case "wall_time":
      return `stopped at the limit of ${describeDuration(max)} of work (${describeDuration(used)} worked)`;
    case "repeats":
      return `stopped because it goes round in a circle: the same ${max} times, with the same results`;
    default:
      return `stopped at the limit ${oneLine(kind, 40)} (${used} of ${max})`;
  }
}

/** A limit in a list: its name and its figures. */
export function limitName({ kind }: EventData<"limit">): string {
  return oneLine(kind.replaceAll("_", " "), 40);
}

export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
