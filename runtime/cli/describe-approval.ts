import type { EventData } from "../../machines/events.ts";
import { describeFields } from "./describe-call.ts";
import { expose } from "./exposed.ts";
import { oneLine } from "./sanitizer.ts";

/** What a person said about a call, in one line: `(run_command is allowed, for the rest of the run, with args: [])`. */
export function describeApproval(data: EventData<"approval">, tool: string): string {
  const { decision, by, args, answer, reason = "", forRun } = data;
  const parts = [`${oneLine(tool, 64)} is ${decision === "approve" ? "allowed" : "not allowed"}`];
  if (by !== "user") parts[0] += ` by ${by === "clock" ? "the clock" : oneLine(by, 40)}`;
  if (forRun === true) parts.push("for the rest of the run");
  if (args !== undefined) parts.push(`with ${oneLine(expose(describeFields(args, 400)), 400)}`);
  if (answer !== undefined) parts.push(`with the answer ${JSON.stringify(oneLine(answer, 400))}`);
  return `(${parts.join(", ")}${reason === "" ? "" : `: ${oneLine(reason, 400)}`})`;
}
