import type { Intent } from "./intent.ts";
import type { Groups, Read, Row } from "./rule.ts";
import * as words from "./words.ts";

const { end, file, inPath, inPathZh, path, quoted } = words;
const word = String.raw`\*?\.?\w+`;
const type = String.raw`(?:(?:the|all)\s+)*(?:(?<type>${word}(?:(?:\s+files?)?(?:\s*,\s*|\s*,?\s+and\s+)(?:the\s+)?${word})*)\s+)?`;
const typeZh = String.raw`(?:所有|全部)?的?\s*(?:(?<type>${word}(?:\s*(?:文件)?\s*(?:和|与|以及|、)\s*(?:有?(?:多少|几)个?)?\s*${word})*)\s*)?(?:类型)?的?\s*`;
const files = words.several(file);
const filesZh = words.severalZh(String.raw`(?:文件\s*)?${file}`);
const query = String.raw`(?<query>${words.several(String.raw`(?:${quoted}|[^\s,;?!"“「\x60]+)`)}|[^\n,;?!]{1,80}?)`;
const queryZh = String.raw`(?<query>${words.severalZh(String.raw`(?:${quoted}|[\w$@.#-]+)`)}|[^\s，。；？！,;?!]{1,80})`;
const holds = String.raw`(?:contain|mention|include|hold|have|use)s?\s+(?:the\s+)?(?:(?:text|word|string|phrase)\s+)?`;

/** The endings that the words before "files" name; undefined for a word that names none: then it is not known which files are meant. */
function typesOf(list: string | undefined): (string | undefined)[] | undefined {
  const names = words.itemsOf(list?.replaceAll(/有?(?:多少|几)个?|文件/g, " ")).filter((name) => !anyFile.test(name));
  if (names.length === 0) return [undefined];
  const endings = names.map(words.endingOf);
  return endings.includes(undefined) ? undefined : endings;
}
const anyFile = /^(?:the|all|my|our|your|these|those|different|of|any|other|more|total|individual|and|files?)$/i;

/** A request for each folder and each kind of file. */
const eachOf =
  (intentOf: (path: string, type: { readonly type?: string }, groups: Groups) => Intent): Read =>
  (groups) => {
    const types = typesOf(groups["type"]);
    return types?.flatMap((type) =>
      words.foldersOf(groups["path"]).map((path) => intentOf(path, type === undefined ? {} : { type }, groups)),
    );
  };
const count = eachOf((path, type) => ({ kind: "count", path, ...type }));
const listEach = eachOf((path, type, { deep }) => ({
  kind: "list",
  path,
  ...type,
  ...(deep === undefined && type.type === undefined ? {} : { recursive: true }),
}));
/** A name with an ending is a file, and is read. */
const isFile = (path: string | undefined) => /[^./]\.\w+["”」`']?$/.test(path ?? "");
const list: Read = (groups) => (isFile(groups["path"]) ? undefined : listEach(groups));
const look: Read = (groups) => (isFile(groups["path"]) ? read(groups) : listEach(groups));
const read: Read = ({ path, folder }) => {
  const paths = words.itemsOf(path?.replaceAll(/文件\s*/g, "")).map(words.unquote);
  const below = words.folderOf(folder);
  return paths.map((name) => ({ kind: "read", path: below === "." ? name : `${below.replace(/\/$/, "")}/${name}` }));
};
/** Each of them one text, and not a phrase. */
const textsAlone = new RegExp(
  `^(?:${words.several(String.raw`(?:${quoted}|[^\s,]+)`)}|${words.severalZh(String.raw`(?:${quoted}|[\w$@.#-]+)`)})$`,
  "u",
);
const search: Read = ({ query, path }) => {
  const text = query?.trim() ?? "";
  const queries = textsAlone.test(text) ? words.itemsOf(text) : [text];
  return queries.flatMap((each) =>
    words.foldersOf(path).map((folder) => ({ kind: "search" as const, query: words.unquote(each), path: folder })),
  );
};
const inFolder = inPath.replace("?<path>", "?<folder>");

/** Files that are counted, listed, read and searched. */
export const fileRules: readonly Row[] = [
  [
    String.raw`\b(?:search|grep|look|find)(?:\s+for)?(?:\s+the)?(?:\s+(?:text|word|phrase))?\s+(?<query>${words.several(quoted)})(?:${inPath})?`,
    search,
  ],
  [String.raw`(?:${inPathZh})?\s*(?:搜索|查找|搜|找)(?:一下)?\s*(?<query>${words.severalZh(quoted)})`, search],

  [
    String.raw`\b(?:search\s+for|find|show(?:\s+me)?|list|look\s+for|where\s+are)\s+(?:(?:all|any|every|each|the|of)\s+)*(?:occurrences?|uses?|usages?|mentions?)\s+of\s+(?:the\s+)?(?:(?:text|word|string)\s+)?${query}(?:${inPath})?${end}`,
    search,
  ],
  [
    String.raw`\b(?:(?:which|what|do|does|find|list|show(?:\s+me)?|is\s+there|are\s+there)\s+)(?:(?:any|all|of|the|a)\s+)*files?(?:${inPath})?\s+(?:(?:that|which)\s+)?${holds}${query}(?:${inFolder})?${end}`,
    ({ query, path, folder }) => search({ query, path: path ?? folder }),
  ],
  [String.raw`(?:${inPathZh})?\s*(?:有)?哪些文件(?:里面?|中)?(?:有|包含|含有?|提到|出现)了?\s*${queryZh}`, search],
  [String.raw`(?:找|搜|查)(?:一下|找|一找)?\s*${queryZh}\s*(?:出现)?在(?:哪里|哪儿|哪|什么地方)`, search],
  [
    String.raw`在\s*(?<path>${words.severalZh(path)})\s*(?:文件夹|目录|文件)?\s*(?:里面?|中|下面?)\s*(?:找|搜|查)(?:一下|找|索|一找)?\s*${queryZh}`,
    search,
  ],

  [
    String.raw`\b(?:how\s+many|count|number\s+of)\s+${type}files?\s+does\s+(?:the\s+)?(?<path>${path})(?:\s+folder)?\s+(?:have|contain|hold)`,
    count,
  ],
  [
    String.raw`\b(?:how\s+many|count|number\s+of)\s+${type}files?(?:\s+(?:are|exist|do\s+(?:we|i|you)\s+have))?(?:\s+there)?(?:${inPath})?`,
    count,
  ],
  [String.raw`(?:${inPathZh})?\s*(?:一共|总共|共)?有?(?:多少|几)个?\s*${typeZh}文件`, count],
  [
    String.raw`(?:统计|数)(?:一下)?\s*(?:${inPathZh})?\s*有?(?:多少|几)?个?的?\s*${typeZh}文件(?:的?数量|的?个数)?`,
    count,
  ],

  [
    String.raw`\b(?:(?<deep>(?:list|find|show(?:\s+me)?)\s+all)|list|show(?:\s+me)?|find|what|which)\s+${type}files(?:\s+(?:are|exist|do\s+(?:we|i|you)\s+(?:have|see)))?(?:\s+(?:there|here))?(?:${inPath})?`,
    list,
  ],
  [
    String.raw`\b(?:list|ls)\s+(?:the\s+)?(?:contents?\s+of\s+)?(?:the\s+)?(?:(?:folder|directory)\s+)?(?<path>${words.several(path)})(?:\s+(?:folder|directory))?${end}`,
    list,
  ],
  [
    String.raw`\bwhat(?:'s|’s|\s+is)\s+in(?:side)?\s+(?:the\s+)?(?:(?:file|folder|directory)\s+)?(?<path>${words.several(path)})(?:\s+(?:file|folder|directory))?${end}`,
    look,
  ],
  [
    String.raw`(?:列出|列一下|显示|看看|查看)\s*(?:${inPathZh})?\s*(?<deep>的?(?:所有|全部))?的?\s*${typeZh}文件(?:列表)?`,
    list,
  ],
  [String.raw`(?:${inPathZh})?\s*有(?:哪些|什么|啥)\s*${typeZh}文件`, list],
  [
    String.raw`(?:列出|列一下|列|显示|看看|看一下|查看)\s*(?<path>${words.severalZh(path)})\s*(?:(?:文件夹|目录)(?:里面?|下面?)?(?:的内容|有(?:什么|啥|哪些)(?:东西)?)?|(?:里面?|下面?)(?:的内容|有(?:什么|啥|哪些)(?:东西)?))`,
    look,
  ],

  [
    String.raw`\b(?:read|open|cat|print|display|view|summari[sz]e|show|(?:let(?:\s+me|['’]s)\s+)?see|look\s+at)(?:\s+me)?\s+(?:(?:the|contents?|of|files?)\s+)*(?<path>${files})(?:${inFolder})?`,
    read,
  ],
  [String.raw`\bread\s+(?:the\s+)?file\s+(?<path>${path})`, read],
  [String.raw`\bwhat\s+does\s+(?:the\s+)?(?:file\s+)?(?<path>${file})\s+(?:say|contain)`, read],
  [
    String.raw`(?:读取|读|打开|看看|查看|显示|看|总结)(?:一下)?\s*(?:文件)?\s*(?<path>${filesZh})\s*(?:文件)?(?:的?内容)?`,
    read,
  ],
  [
    String.raw`(?:把|将)\s*(?<path>${filesZh})\s*(?:文件)?(?:的?内容)?\s*(?:读|念|打开|显示|给我看)(?:一下|出来|给我听?|给我看)?`,
    read,
  ],
  [String.raw`(?<path>${filesZh})\s*(?:文件)?(?:里面?|中)?(?:的内容(?:是什么)?|写了什么|有什么|是什么)`, read],

  [
    String.raw`\bsearch\s+(?:in\s+)?(?:the\s+)?(?<path>${path}(?:\s+and\s+${path})?)(?:\s+folder)?\s+for\s+${query}${end}`,
    search,
  ],
  [
    String.raw`\b(?:search\s+for|search|grep\s+for|grep|look\s+for|where\s+is)\s+${query}(?:\s+(?:used|defined|mentioned))?(?:${inPath})?${end}`,
    search,
  ],
  [String.raw`\bfind\s+(?<query>[^\n,;?!]{1,80}?)${inPath}${end}`, search],
  [String.raw`(?:${inPathZh})?\s*(?:搜索|查找|搜)(?:一下)?\s*(?:包含)?\s*${queryZh}`, search],
];
