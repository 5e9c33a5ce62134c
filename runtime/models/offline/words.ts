/** Pieces of the rules' patterns, and what the words in them stand for. */

/** A text in any kind of quotation marks. */
export const quoted = String.raw`(?:"[^"\n]+"|“[^”\n]+”|「[^」\n]+」|\x60[^\x60\n]+\x60|'[^'\n]+')`;
/** A path: in quotation marks, or one word without spaces. */
export const path = String.raw`(?:${quoted}|[\w@.~/-]+)`;
/** A path that can only be a file: it has an ending or a folder, or is a well-known name. */
export const file = String.raw`(?:${quoted}|[\w@~/.-]*\.\w+|[\w@.~-]*/[\w@./~-]+|README|LICENSE|CHANGELOG|Makefile|Dockerfile)`;

/** The end of a part of a sentence. */
export const end = String.raw`(?=\s*(?:$|[\n,;?!，。；？！]|\.(?:\s|$)|\s(?:and|then)\s))`;
/** Words behind "and", or behind a comma, that begin or end something else. */
const noItem = String.raw`(?!(?:and|or|then|the|please|thanks|thank|what|how|which|wait|continue|stop|list|count|read|search|tell|also|so|it|that|this|not|ok|okay|go|now|again)\b(?!\.))`;

/** One thing or several: `src and docs`, `a.ts, b.ts and c.ts`. What stands behind the first must end a part of the sentence. */
export function several(item: string): string {
  const more = String.raw`(?:\s*,\s*|\s*,?\s+and\s+)(?:in\s+)?(?:the\s+)?${noItem}${item}(?:\s+(?:folder|directory))?`;
  return String.raw`${item}(?:(?:${more})*(?:\s*,?\s+and\s+)(?:in\s+)?(?:the\s+)?${noItem}${item}(?:\s+(?:folder|directory|files?))?${end})?`;
}

/** The same in Chinese: `src 和 docs`, `a.ts、b.ts`. */
export function severalZh(item: string): string {
  return String.raw`${item}(?:\s*(?:和|与|跟|以及|还有|、|\band\b)\s*${item})*`;
}

/** The things of such a list. A mark inside quotation marks parts nothing. */
export function itemsOf(list: string | undefined): string[] {
  const parts = (list ?? "").matchAll(new RegExp(String.raw`(?<!\w)${quoted}(?!\w)|[^\s,、和与跟]+`, "gu"));
  const extra = /^(?:and|in|the|folder|directory|files?|以及|还有|文件|目录)$/i;
  return [...parts]
    .map(([part]) => part.replace(/^(?:以及|还有)|(?:以及|还有)$/, ""))
    .filter((part, at) => at === 0 || !extra.test(part));
}

/** `in the machines folder`, `under src and docs`; sets the group `path`. */
export const inPath = String.raw`\s+(?:in|from|under|below|inside|within|of)\s+(?:the\s+)?(?:(?:folder|directory)\s+)?(?!(?:short|full|detail|general|order)\b)(?<path>${several(path)})(?:\s+(?:folder|directory|project))?`;
/** `machines 目录里`, `src 和 docs 下面`; sets the group `path`. */
export const inPathZh = String.raw`(?:在\s*)?(?:(?<path>${severalZh(path)})|当前|这个|本)\s*(?:文件夹|目录|项目)?\s*(?:里面?|下面?|之?中|内)?`;

/** Takes the quotation marks, and the end of the sentence, off a word. */
export function unquote(word: string): string {
  const inner = /^["“「`'](.*)["”」`']$/s.exec(word)?.[1];
  if (inner !== undefined) return inner;
  return /^\.{1,2}$/.test(word) ? word : word.replace(/[.,?!]+$/, "");
}

const here: ReadonlySet<string> = new Set(["", "this", "here", "current", "total", "it", "all", "my", "there"]);

/** The folders a phrase names. */
export function foldersOf(list: string | undefined): string[] {
  const items = itemsOf(list);
  return (items.length === 0 ? [""] : items).map(folderOf);
}

/** The folder a phrase names; "." when it names none ("in this folder", "in total"). */
export function folderOf(word: string | undefined): string {
  const name = unquote(word ?? "");
  return here.has(name.toLowerCase()) ? "." : name;
}

const endings: ReadonlyMap<string, string> = new Map([
  ["typescript", "ts"],
  ["javascript", "js"],
  ["markdown", "md"],
  ["python", "py"],
  ["text", "txt"],
  ["rust", "rs"],
  ["java", "java"],
  ["shell", "sh"],
  ...["ts", "tsx", "js", "jsx", "mjs", "json", "md", "txt", "py", "css", "html", "yml", "yaml", "csv"].map(
    (ending) => [ending, ending] as const,
  ),
]);

/** The file ending a word stands for: `.ts`, `*.ts`, `ts`, `TypeScript`. Undefined for other words. */
export function endingOf(word: string | undefined): string | undefined {
  if (word === undefined) return undefined;
  const dotted = /^\*?\.(\w{1,16})$/.exec(word)?.[1];
  return dotted ?? endings.get(word.toLowerCase());
}

const zones: ReadonlyMap<string, string> = new Map([
  ["tokyo", "Asia/Tokyo"],
  ["beijing", "Asia/Shanghai"],
  ["shanghai", "Asia/Shanghai"],
  ["hong kong", "Asia/Hong_Kong"],
  ["singapore", "Asia/Singapore"],
  ["london", "Europe/London"],
  ["paris", "Europe/Paris"],
  ["berlin", "Europe/Berlin"],
  ["rome", "Europe/Rome"],
  ["moscow", "Europe/Moscow"],
  ["new york", "America/New_York"],
  ["los angeles", "America/Los_Angeles"],
  ["san francisco", "America/Los_Angeles"],
  ["sydney", "Australia/Sydney"],
  ["utc", "UTC"],
  ["东京", "Asia/Tokyo"],
  ["北京", "Asia/Shanghai"],
  ["上海", "Asia/Shanghai"],
  ["香港", "Asia/Hong_Kong"],
  ["新加坡", "Asia/Singapore"],
  ["伦敦", "Europe/London"],
  ["巴黎", "Europe/Paris"],
  ["柏林", "Europe/Berlin"],
  ["罗马", "Europe/Rome"],
  ["莫斯科", "Europe/Moscow"],
  ["纽约", "America/New_York"],
  ["洛杉矶", "America/Los_Angeles"],
  ["旧金山", "America/Los_Angeles"],
  ["悉尼", "Australia/Sydney"],
]);

/** A city that is known, a time zone's own name, or another word, which the tool may know better. */
export const place = String.raw`(?:${[...zones.keys()].filter((name) => /^\w/.test(name)).join("|")}|\w+(?:/\w+){1,2}|\w+)`;
export const placeZh = String.raw`(?:${[...zones.keys()].filter((name) => !/^\w/.test(name)).join("|")}|\w+(?:/\w+){1,2})`;

/** The places of a list: "New York and Tokyo". One that is not said is the place here. */
export function placesOf(list: string | undefined): (string | undefined)[] {
  return list === undefined
    ? [undefined]
    : list.split(/\s*(?:,\s*(?:and\s+)?(?:in\s+)?|\band\s+(?:in\s+)?|和|与|跟|以及|还有|、)\s*/i);
}

/** The time zone of a place, or the word as it is: the tool then says that it does not know it. */
export function zoneOf(word: string | undefined): string | undefined {
  if (word === undefined || here.has(word.toLowerCase())) return undefined;
  return zones.get(word.toLowerCase()) ?? word;
}

const units: readonly (readonly [RegExp, number])[] = [
  [/^(?:ms|milli)/i, 0.001],
  [/^(?:h|小时)/i, 3600],
  [/^(?:m|分)/i, 60],
];

/** Seconds of an amount with its unit; seconds when it has none. */
export function secondsOf(amount: string, unit: string | undefined): number {
  const factor = units.find(([pattern]) => pattern.test(unit ?? ""))?.[1] ?? 1;
  return (/^\d/.test(amount) ? Number(amount) : 1) * factor;
}

/** What a question offers at its end: `which city: Paris, Rome or Oslo`. Nothing where it offers nothing. */
export function choicesOf(question: string): string[] {
  const [, list] =
    /[:：,，]\s*((?:[^,，:：、\s][^,，:：、]{0,59}[,，、]\s*)*[^,，:：、\s][^,，:：、]{0,59}?(?:,?\s+or\s+|还是|或者?)[^,，:：、]{1,60})$/.exec(
      question,
    ) ?? [];
  if (list === undefined) return [];
  return list
    .split(/,?\s+or\s+|还是|或者?|[,，、]/)
    .map((choice) => choice.trim())
    .filter((choice) => choice !== "");
}
