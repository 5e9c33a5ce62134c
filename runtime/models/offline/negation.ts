import { quoted } from "./words.ts";

/** What a message forbids. */
export interface Forbidden {
  readonly at: number;
  /** All of it, as it stands there. */
  readonly text: string;
  /** Without the word that forbids. */
  readonly body: string;
}

/** Where a sentence or a part of it begins: "why don't you", "I don't know" and 特别 forbid nothing. */
const start = String.raw`(?<=(?:^|\n|[,.;:!?]\s|[，。；：！？]|\b(?:and|but|then|please|so|also|or)\s|请|但|也|而|我|你|先|那)\s*)`;
const want = String.raw`(?:i\s+)?(?:do\s+not|don['’]?t)\s+(?:want|need|wish)(?:\s+you)?(?:\s+to)?|no\s+need\s+(?:to|for)`;
const must = String.raw`(?:must|should|need)(?:\s+not|n['’]t)|(?:do\s+not|don['’]?t)(?!\s+(?:you|worry|forget|hesitate|mind|know)\b)|not`;
const english = String.raw`${start}(?:${want}|${must})\b|\b(?:without(?=\s+\w+ing\b)|instead\s+of|rather\s+than)\b`;
const chinese = String.raw`${start}(?:不要|不用|不必|不需要|无需|没必要|用不着|不想要?|不许|不准|禁止|千万别|别(?![的人处]))`;
/** To the end of the part; "but", "just" and 只 begin another one, "and" does not: "don't list or read files and folders". */
const extent = String.raw`(?<body>(?:[^\n,.;:!?，。；：！？]|\.(?=[^\s]))*?)(?=[\n,;:!?，。；：！？]|\.(?:\s|$)|$|\s(?:but|just|only|instead|simply)\b|只|而是|但是?|直接)`;
const pattern = new RegExp(`(?:${english}|${chinese})${extent}`, "giu");

/** The parts of a text that say what is not to be done. A text in quotation marks forbids nothing. */
export function forbiddenIn(text: string): Forbidden[] {
  const open = text.replaceAll(new RegExp(`(?<!\\w)${quoted}(?!\\w)`, "gu"), (match) => "_".repeat(match.length));
  return [...open.matchAll(pattern)].map((match) => {
    const end = match.index + match[0].length;
    return {
      at: match.index,
      text: text.slice(match.index, end),
      body: text.slice(end - (match.groups?.["body"] ?? "").length, end),
    };
  });
}
