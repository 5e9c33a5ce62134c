import { actingRules } from "./acting-rules.ts";
import { clockRules } from "./clock-rules.ts";
import { fileRules } from "./file-rules.ts";
import { numberRules } from "./number-rules.ts";
import type { Read } from "./rule.ts";
import { talkRules } from "./talk-rules.ts";

interface Rule {
  readonly pattern: RegExp;
  readonly read: Read;
}

/**
 * The rules, from the most specific to the most general: what one has taken, the next does not see. What a command, a text or a question
 * holds is no request, so those come first. A text in quotation marks is searched for before anything in it can be taken for a request.
 */
export const rules: readonly Rule[] = [...actingRules, ...fileRules, ...clockRules, ...numberRules, ...talkRules].map(
  ([pattern, read]) => ({ pattern: new RegExp(pattern, "giu"), read }),
);
