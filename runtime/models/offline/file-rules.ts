import type { Read, Row } from "./rule.ts";
import * as words from "./words.ts";

const { file, inPath, inPathZh, path, quoted } = words;
const type = String.raw`(?:(?:the|all)\s+)*(?:(?<type>\*?\.?\w+)\s+)?`;
const typeZh = String.raw`(?:所有|全部)?的?\s*(?:(?<type>\*?\.?\w+)\s*)?(?:类型)?的?\s*`;
const end = String.raw`(?=\s*(?:$|[\n,;?!，。；？！]|\.(?:\s|$)|\s(?:and|then)\s))`;

const count: Read = ({ type, path }) => ({ kind: "count", path: words.folderOf(path), ...withType(type) });
const list: Read = ({ type, path, deep }) => ({
  kind: "list",
  path: words.folderOf(path),
  ...withType(type),
  ...(deep === undefined && words.endingOf(type) === undefined ? {} : { recursive: true }),
});
const look: Read = (groups) => (/\.\w+["”」`']?$/.test(groups["path"] ?? "") ? read(groups) : list(groups));
const read: Read = ({ path }) => (path === undefined ? undefined : { kind: "read", path: words.unquote(path) });
const search: Read = ({ query, path }) =>
  query === undefined ? undefined : { kind: "search", query: words.unquote(query.trim()), path: words.folderOf(path) };

function withType(word: string | undefined): { readonly type?: string } {
  const ending = words.endingOf(word);
  return ending === undefined ? {} : { type: ending };
}

/** Files that are counted, listed, read and searched. */
export const fileRules: readonly Row[] = [
  [
    String.raw`\b(?:search|grep|look|find)(?:\s+for)?(?:\s+the)?(?:\s+(?:text|word|phrase))?\s+(?<query>${quoted})(?:${inPath})?`,
    search,
  ],
  [String.raw`(?:${inPathZh})?\s*(?:搜索|查找|搜|找)(?:一下)?\s*(?<query>${quoted})`, search],

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
    String.raw`\b(?:list|ls)\s+(?:the\s+)?(?:(?:folder|directory)\s+)?(?<path>${path})(?:\s+(?:folder|directory))?${end}`,
    list,
  ],
  [
    String.raw`\bwhat(?:'s|’s|\s+is)\s+in(?:side)?\s+(?:the\s+)?(?:(?:file|folder|directory)\s+)?(?<path>${path})(?:\s+(?:file|folder|directory))?${end}`,
    look,
  ],
  [
    String.raw`(?:列出|列一下|显示|看看|查看)\s*(?:${inPathZh})?\s*(?<deep>的?(?:所有|全部))?的?\s*${typeZh}文件(?:列表)?`,
    list,
  ],
  [String.raw`(?:${inPathZh})?\s*有(?:哪些|什么|啥)\s*${typeZh}文件`, list],

  [
    String.raw`\b(?:read|open|cat|print|display|view|summari[sz]e|show)(?:\s+me)?\s+(?:(?:the|contents?|of|file)\s+)*(?<path>${file})`,
    read,
  ],
  [String.raw`\bread\s+(?:the\s+)?file\s+(?<path>${path})`, read],
  [String.raw`\bwhat\s+does\s+(?:the\s+)?(?:file\s+)?(?<path>${file})\s+(?:say|contain)`, read],
  [
    String.raw`(?:读取|读|打开|看看|查看|显示|看|总结)(?:一下)?\s*(?:文件)?\s*(?<path>${file})\s*(?:文件)?(?:的?内容)?`,
    read,
  ],
  [String.raw`(?<path>${file})\s*(?:文件)?(?:里面?|中)?(?:的内容(?:是什么)?|写了什么|有什么|是什么)`, read],

  [
    String.raw`\bsearch\s+(?:in\s+)?(?:the\s+)?(?<path>${path})(?:\s+folder)?\s+for\s+(?<query>[^\n,;?!]{1,80}?)${end}`,
    search,
  ],
  [
    String.raw`\b(?:search\s+for|search|grep\s+for|grep|look\s+for|where\s+is)\s+(?<query>[^\n,;?!]{1,80}?)(?:\s+(?:used|defined|mentioned))?(?:${inPath})?${end}`,
    search,
  ],
  [String.raw`\bfind\s+(?<query>[^\n,;?!]{1,80}?)${inPath}${end}`, search],
  [String.raw`(?:${inPathZh})?\s*(?:搜索|查找|搜)(?:一下)?\s*(?:包含)?\s*(?<query>[^\s，。；？！,;?!]{1,80})`, search],
];
