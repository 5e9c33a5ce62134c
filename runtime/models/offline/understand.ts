import { languageOf, type Intent, type Language } from "./intent.ts";
import { forbiddenIn } from "./negation.ts";
import { rules } from "./rules.ts";
import { turnOf } from "./turn.ts";
import { quoted } from "./words.ts";

/** What one user message asks for. */
export interface Reading {
  /** In the order of the text. Empty when the message only changes how the last topic is answered. */
  readonly intents: readonly Intent[];
  /** The language that it asks for, if it does. */
  readonly wanted: Language | undefined;
  /** The language that it is written in; undefined for a text without words. */
  readonly written: Language | undefined;
  readonly short: boolean;
  /** "Go on": the rest of what was being said. */
  readonly goOn: boolean;
  /** Another topic for the text that was being written, when the message says nothing else. Where there was no such text, it is not understood. */
  readonly turn: string | undefined;
}

/** Characters of a message that are looked at. */
const maxLength = 4000;

// Not as a part of a path: "short.md" asks for no shortness.
const word = (pattern: string) => new RegExp(String.raw`(?<![\w./-])(?:${pattern})(?![\w/-]|\.\w)`, "giu");
const shortWords = new RegExp(
  String.raw`${word("shorter|short|briefly|brief|in\\s+short|tl;?dr|concisely|concise|summari[sz]e\\s+(?:it|that)").source}|简短|短一点|短一些|短文|更短|简洁|简单[点说]`,
  "giu",
);
const chinese = /\b(?:in|into|to)\s+(?:chinese|mandarin)\b|(?:用|说|讲|译成|换成|改成)(?:中文|汉语)|中文(?:回答|版)/giu;
const english = /\b(?:in|into|to)\s+english\b|(?:用|说|讲|译成|换成|改成)英[文语]|英[文语](?:回答|版)/giu;
const goOnWords =
  /^\s*(?:please\s+)?(?:continue|go\s+on|carry\s+on|keep\s+going)\b|^\s*请?(?:继续|接着)(?:[说写讲]|下去|吧)*/giu;

/** Words around requests that ask for nothing themselves. */
const fillers =
  /\b(?:why|don['’]?t|worry|forget|hesitate|and|then|also|please|now|first|instead|can|could|would|will|you|i|me|us|to|want|like|the|a|an|it|that|this|is|are|be|in|of|for|make|do|say|tell|give|show|let|know|answer|reply|rewrite|translate|again|but|so|ok|okay|just|as|well|with|my|your|what|how|much|there|files?|folder|recursively|finally|after|before|next)\b|[的请然后再并且和还有也帮我给你把它说告诉回答重写一下用改成要想现在吧呢吗了个是这那在来先]/giu;

/** Reads a message by the rules. Says `unknown` for a message, or a part of it, that no rule takes. */
export function understand(message: string): Reading {
  const text = message.slice(0, maxLength);
  const unquoted = text.replaceAll(new RegExp(`(?<!\\w)${quoted}(?!\\w)`, "gu"), blank);
  const wanted = has(unquoted, chinese) ? "zh" : has(unquoted, english) ? "en" : undefined;
  const short = has(unquoted, shortWords);
  const goOn = has(unquoted, goOnWords);

  let open = text.replaceAll(chinese, spaces).replaceAll(english, spaces).replaceAll(goOnWords, spaces);
  const forbidden = forbiddenIn(open).flatMap(({ at, text: words, body }): Found[] => {
    const intents = taken(body).found.map(({ intent }) => intent);
    // What no rule would do need not be forbidden: such words are a part of something else, a name, a topic or a command.
    if (intents.length === 0 && !/^\s*写/.test(body)) return [];
    open = open.slice(0, at) + blank(words) + open.slice(at + words.length);
    return [{ at, intent: { kind: "leave", text: words.trim(), intents } }];
  });
  const { found, rest } = taken(open);
  const turn =
    found.length === 0 ? turnOf(rest.replaceAll(shortWords, spaces).replaceAll(/^\n+\s*[,，]?|\n+$/g, "")) : undefined;
  // Words that forbid nothing a rule knows are told only where there is nothing else to tell.
  const telling = forbidden.filter(({ intent }) => intent.kind === "leave" && intent.intents.length > 0);
  found.push(...(found.length > 0 ? telling : forbidden));
  const changes = wanted !== undefined || short || goOn;
  const left = leftOver(rest.replaceAll(shortWords, spaces), text, found.length === 0 && !changes);
  if (left !== undefined) found.push({ at: text.length, intent: { kind: "unknown", text: left } });
  const intents = found.sort((a, b) => a.at - b.at).map(({ intent }) => intent);
  return { intents, wanted, written: languageOf(text), short, goOn, turn };
}

interface Found {
  readonly at: number;
  readonly intent: Intent;
}

/** What the rules find in a text, and the text without it. */
function taken(text: string): { readonly found: Found[]; readonly rest: string } {
  const found: Found[] = [];
  let rest = text;
  for (const { pattern, read } of rules) {
    rest = rest.replaceAll(pattern, (match: string, ...more: unknown[]) => {
      const asked = read(groupsOf(more.at(-1)));
      if (asked === undefined) return match;
      // Behind the place stand the whole text and, for a pattern with names, the groups.
      const at = Number(more.at(typeof more.at(-1) === "object" ? -3 : -2));
      for (const intent of [asked].flat()) found.push({ at, intent });
      return blank(match);
    });
  }
  return { found, rest };
}

/** The part of the text that no rule took, if it says something. Nothing taken at all: the whole text. */
function leftOver(rest: string, whole: string, nothingTaken: boolean): string | undefined {
  if (nothingTaken) return whole.trim().replaceAll(/\s+/g, " ");
  const listed = /^\s*\d{1,2}[.)、]\s/gm;
  for (const clause of rest.replaceAll(listed, " ").split(/[\n,;?!，。；？！]+|\.(?=\s|$)/)) {
    const words = clause.replaceAll(fillers, " ");
    // A path or a number says something even alone.
    const named = /\d|\w[./]\w/.test(clause) ? 2 : 0;
    const weight =
      named + (words.match(/[A-Za-z]{2,}/g)?.length ?? 0) + (words.match(/\p{Script=Han}/gu)?.length ?? 0) / 2;
    if (weight >= 2)
      return clause
        .trim()
        .replaceAll(/\s+/g, " ")
        .replace(/^(?:and|then|also)\s+/i, "");
  }
  return undefined;
}

function has(text: string, pattern: RegExp): boolean {
  return text.search(pattern) >= 0;
}

/** Line ends, so that no later match reaches across what was taken. Of the same length, so that places stay. */
function blank(match: string): string {
  return "\n".repeat(match.length);
}

function spaces(match: string): string {
  return " ".repeat(match.length);
}

function groupsOf(value: unknown): Readonly<Record<string, string | undefined>> {
  const groups: Record<string, string | undefined> = {};
  if (typeof value !== "object" || value === null) return groups;
  for (const [name, text] of Object.entries(value)) if (typeof text === "string") groups[name] = text;
  return groups;
}
