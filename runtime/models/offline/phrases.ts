import type { ToolOutcome } from "../../../machines/messages.ts";
import type { ToolIntent } from "./intent.ts";
import type { Clock, Fetched, FileText, Found, Listed, Ran, Saved } from "./results.ts";

/** How much of something an answer shows. */
export interface Shown {
  readonly short: boolean;
}

type Of<Kind extends ToolIntent["kind"]> = Extract<ToolIntent, { readonly kind: Kind }>;

/** Everything the offline model can say, in one language. */
export interface Phrases {
  /** Between two sentences. */
  readonly space: string;
  readonly greeting: string;
  readonly welcome: string;
  readonly help: string;
  readonly noMore: string;
  readonly anew: string;
  counted(intent: Of<"count">, result: Listed): string;
  listed(intent: Of<"list">, result: Listed, shown: Shown): string;
  wasRead(result: FileText, shown: Shown): string;
  found(intent: Of<"search">, result: Found, shown: Shown): string;
  calculated(intent: Of<"calculate">, result: string, shown: Shown): string;
  time(result: Clock): string;
  waited(intent: Of<"wait">): string;
  ran(result: Ran, shown: Shown): string;
  saved(result: Saved): string;
  fetched(result: Fetched, shown: Shown): string;
  /** What the person answered to a question of ours. */
  answered(answer: string): string;
  /** What was forbidden, and so was not done. */
  left(text: string): string;
  /** A tool of this name that answered in a form of its own. */
  other(intent: ToolIntent, content: string): string;
  /** A call that did not end well. `content` is what its result says. */
  failed(intent: ToolIntent, outcome: Exclude<ToolOutcome, "ok">, content: string): string;
  missing(intent: ToolIntent, tool: string): string;
  essay(topic: string | undefined, shown: Shown): string;
  unknown(texts: readonly string[]): string;
}
