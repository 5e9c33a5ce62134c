import { run, toExpression } from "./arithmetic.ts";
import { wordsOfCommand } from "./command-line.ts";
import type { Intent, Unsaid } from "./intent.ts";
import * as words from "./words.ts";

type Groups = Readonly<Record<string, string | undefined>>;
type Read = (groups: Groups) => Intent | undefined;

export interface Rule {
  /** Tried at every place of the text. What it matches is taken out of the text for the rules that follow. */
  readonly pattern: RegExp;
  /** The intent of a match, or undefined when it is none after all: then the text stays. */
  readonly read: Read;
}

const { file, inPath, inPathZh, path, place, placeZh, quoted } = words;
const type = String.raw`(?:(?:the|all)\s+)*(?:(?<type>\*?\.?\w+)\s+)?`;
const typeZh = String.raw`(?:所有|全部)?的?\s*(?:(?<type>\*?\.?\w+)\s*)?(?:类型)?的?\s*`;
const end = String.raw`(?=\s*(?:$|[\n,;?!，。；？！]|\.(?:\s|$)|\s(?:and|then)\s))`;
const expression = String.raw`(?<run>${run})`;
const textKind = String.raw`(?:answer|text|essay|article|story|poem|paragraph|explanation|report|overview)`;
const textKindZh = String.raw`(?:长文章|文章|长文|短文|作文|故事|介绍|回答|内容|诗|报告|说明)`;
const topic = String.raw`(?<topic>[^\n.?!;。；？！]{1,120})`;
const topicZh = String.raw`(?<topic>[^\n，。；？！,;?!]{1,60}?)`;

/** Words behind "run" that are no program. */
const noProgram = /^(?:the|a|an|it|this|that|these|all|my|some|for|out|into|away|down|一个|一下|命令)$/i;
const url = String.raw`(?<url>https?:\/\/[^\s"'<>”」]+)`;
const commandEnd = String.raw`(?=\s*(?:$|[\n;?!，。；？！]|\.(?:\s|$)|,?\s(?:and\s+then|and|then)\s))`;

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
const time: Read = ({ place }) => {
  const zone = words.zoneOf(place);
  return zone === undefined ? { kind: "time" } : { kind: "time", zone };
};
const wait: Read = ({ amount, unit }) => ({ kind: "wait", seconds: words.secondsOf(amount ?? "", unit) });
const calculate: Read = ({ run }) => {
  const expression = toExpression(run ?? "");
  return expression === undefined ? undefined : { kind: "calculate", expression };
};
const root: Read = ({ number }) => ({ kind: "calculate", expression: `sqrt(${number ?? ""})` });
const square: Read = ({ number }) => ({ kind: "calculate", expression: `${number ?? ""}^2` });
const write: Read = ({ topic }) => {
  const about = topic?.replace(/(?:[\s,]+(?:and|then|please))*[\s,]*$/i, "").trim();
  if (about === undefined || about === "") return { kind: "write" };
  return /^(?:you|yourself|你|你自己)$/i.test(about) ? { kind: "help" } : { kind: "write", topic: about };
};
const runCommand: Read = ({ line }) => {
  const [command, ...args] = wordsOfCommand(words.unquote(line?.trim() ?? "").replace(/[.。]$/, ""));
  return command === undefined || noProgram.test(command) ? undefined : { kind: "run", command, args };
};
const save: Read = ({ content, path, over }) =>
  content === undefined || path === undefined
    ? undefined
    : { kind: "save", path: words.unquote(path), content: words.unquote(content), overwrite: over !== undefined };
const fetchPage: Read = ({ url }) =>
  url === undefined ? undefined : { kind: "fetch", url: url.replace(/[.,;!?)，。；！？）]+$/, "") };
const ask: Read = ({ question }) => {
  const text = words.unquote(question?.trim() ?? "").replace(/[\s.?？。]+$/, "");
  if (text === "") return undefined;
  const options = words.choicesOf(text);
  const chinese = /\p{Script=Han}/u.test(text);
  const asked = `${text.charAt(0).toUpperCase()}${text.slice(1)}${chinese ? "？" : "?"}`;
  return { kind: "ask", question: asked, options };
};
const without =
  (lacks: Unsaid, question: string): Read =>
  () => ({ kind: "ask", question, options: [], lacks });

const greet: Read = () => ({ kind: "greet" });
const thanks: Read = () => ({ kind: "thanks" });
const help: Read = () => ({ kind: "help" });

function withType(word: string | undefined): { readonly type?: string } {
  const ending = words.endingOf(word);
  return ending === undefined ? {} : { type: ending };
}

/**
 * The rules, from the most specific to the most general: what one has taken, the next does not see. A text in quotation marks is searched
 * for before anything in it can be taken for a request.
 */
const table: readonly (readonly [string, Read])[] = [
  // What a command, a text or a question holds is no request.
  [
    String.raw`\b(?:write|save|put)\s+(?:the\s+text\s+)?(?<content>${quoted})\s+(?:in)?to\s+(?:a\s+|the\s+)?(?:new\s+)?(?:file\s+)?(?:called\s+)?(?<path>${path})`,
    save,
  ],
  [String.raw`\bsave\s+(?<content>${quoted})\s+(?:as|in)\s+(?<path>${path})`, save],
  [String.raw`\b(?<over>overwrite|replace)\s+(?:the\s+file\s+)?(?<path>${file})\s+with\s+(?<content>${quoted})`, save],
  [
    String.raw`\b(?:create|make|write)\s+(?:a|the)\s+(?:new\s+)?file\s+(?:called\s+|named\s+)?(?<path>${path})\s+(?:with|saying|containing)\s+(?:the\s+text\s+)?(?<content>${quoted})`,
    save,
  ],
  [
    String.raw`(?:把|将)\s*(?<content>${quoted})\s*(?<over>覆盖)?(?:写入|写到|写进|保存到|存到|存入)\s*(?:文件)?\s*(?<path>${file})`,
    save,
  ],
  [
    String.raw`(?:写|创建|新建)(?:一个)?文件\s*(?<path>${file})\s*[，,]?\s*(?:内容(?:是|为)?|写上?)\s*(?<content>${quoted})`,
    save,
  ],

  [
    String.raw`\b(?:fetch|get|download|open|read|visit|load|show(?:\s+me)?)\s+(?:(?:the|page|url|at|from)\s+)*${url}`,
    fetchPage,
  ],
  [String.raw`(?:获取|抓取|下载|打开|访问|读取|读)(?:一下)?\s*(?:网页|网址|页面)?\s*${url}`, fetchPage],
  [
    String.raw`\b(?:fetch|download|visit)\s+(?:a|some)\s+(?:web\s*)?(?:page|url|site|website)\b`,
    without("fetch", "Which URL?"),
  ],
  [String.raw`(?:获取|抓取|下载|访问)一个(?:网页|网址|页面)`, without("fetch", "哪个网址？")],

  [String.raw`\b(?:run|execute)\s+(?:a|some)\s+(?:command|program)\b`, without("run", "Which command?")],
  [String.raw`(?:运行|执行)一(?:个|条)(?:命令|程序)`, without("run", "哪个命令？")],
  [
    String.raw`(?<!\b(?:i|we|they)\s+)\b(?:run|execute)\s+(?:(?:the\s+)?command\s+)?(?<line>${quoted}|[\w@./~-][^\n;?!，。；？！]{0,300}?)${commandEnd}`,
    runCommand,
  ],
  [
    String.raw`(?:运行|执行)(?:一下)?\s*(?:命令|程序)?\s*(?<line>${quoted}|[\w@./~-][^\n;?!，。；？！\p{Script=Han}]{0,300})`,
    runCommand,
  ],

  [String.raw`\bask\s+me\s*[:,]?\s+(?:about\s+)?(?<question>[^\n?!;]{1,300}\??)`, ask],
  [String.raw`问(?:一下|一问)?我\s*[:：，]?\s*(?<question>[^\n。！；]{1,200})`, ask],
  [
    String.raw`\b(?:read|open|show(?:\s+me)?|cat)\s+(?:a|some)\s+file\b(?!\s+(?:called|named))`,
    without("read", "Which file?"),
  ],
  [String.raw`(?:读取|读|打开|看看|查看)(?:一下)?(?:某个|一个)文件`, without("read", "哪个文件？")],

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

  [
    String.raw`\b(?:what(?:'s|’s|\s+is)?\s+)?(?:the\s+)?(?:current\s+)?(?:time|date|day)\s+is\s+it(?:\s+(?:right\s+)?(?:now|today))?(?:\s+in\s+(?<place>${place}))?(?:\s+(?:right\s+)?now)?`,
    time,
  ],
  [
    String.raw`\b(?:(?:what(?:'s|’s|\s+is)|tell\s+me)\s+the\s+(?:current\s+|local\s+)?(?:time|date)|(?:the\s+)?current\s+(?:time|date)|today(?:'s|’s)\s+date)(?:\s+(?:now|today))?(?:\s+in\s+(?<place>${place}))?`,
    time,
  ],
  [String.raw`(?:(?<place>${placeZh})的?)?(?:现在|当前|此刻|目前)(?:是|的)?(?:几点|什么时间|时间)(?:了|钟)*`, time],
  [String.raw`(?:现在|当前|此刻)(?<place>${placeZh})(?:是|的)?(?:几点|什么时间|时间)(?:了|钟)*`, time],
  [
    String.raw`(?:(?<place>${placeZh})的?)?(?:几点(?:了|钟)*|时间(?:是多少|是几点)?|今天(?:是)?(?:几号|几月几号|星期几|周几))`,
    time,
  ],

  [
    String.raw`\b(?:wait|sleep|pause)\s+(?:for\s+)?(?<amount>\d{1,9}(?:\.\d{1,6})?|an?|one)\s*(?<unit>milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|h)?\b`,
    wait,
  ],
  [
    String.raw`(?:等待|等候|等|暂停)(?:一下)?\s*(?<amount>\d{1,9}(?:\.\d{1,6})?|一)\s*个?(?<unit>毫秒|秒钟?|分钟?|小时)`,
    wait,
  ],

  [String.raw`\b(?:what(?:'s|’s|\s+is)\s+)?(?:the\s+)?square\s+root\s+of\s+(?<number>\d+(?:\.\d+)?)`, root],
  [String.raw`(?<number>\d+(?:\.\d+)?)\s*的平方根(?:是多少|等于多少)?`, root],
  [String.raw`\b(?:what(?:'s|’s|\s+is)\s+)?(?<number>\d+(?:\.\d+)?)\s+squared`, square],
  [String.raw`(?<number>\d+(?:\.\d+)?)\s*的平方(?:是多少|等于多少)?`, square],
  [
    String.raw`(?:\b(?:what(?:'s|’s|\s+is)|calculate|compute|evaluate|how\s+much\s+is|work\s+out)\s+|(?:计算|算)(?:一下)?\s*)?${expression}(?:=|等于多少|等于几|等于|是多少|得多少|得几)?`,
    calculate,
  ],

  [String.raw`\b(?:what\s+can\s+you\s+do|who\s+are\s+you|what\s+are\s+you|how\s+do\s+you\s+work)|^\s*help\b`, help],
  [String.raw`你(?:能|会|可以)(?:帮我)?(?:做|干)?(?:些)?(?:什么|啥|哪些)(?:事情?)?|你是谁|^\s*帮助`, help],

  [
    String.raw`\b(?:write|compose|draft|give|tell)(?:\s+(?:me|us))?(?:\s+[\w-]+){0,5}?\s+(?:about|on)\s+${topic}`,
    write,
  ],
  [String.raw`\b(?:explain|describe)\s+(?:to\s+me\s+)?${topic}`, write],
  [String.raw`\b(?:write|compose|give)(?:\s+(?:me|us))?(?:\s+[\w-]+){0,4}?\s+${textKind}`, write],
  [
    String.raw`(?:给我|帮我)?(?:写|来|讲)[^\n，。]{0,8}?(?:关于|有关)\s*${topicZh}\s*的\s*(?:[^\n，。]{0,4}?)${textKindZh}`,
    write,
  ],
  [String.raw`(?:介绍|解释|讲讲|谈谈|聊聊|说说)(?:一下)?\s*(?:关于)?${topicZh}(?=$|[\n，。；？！,;?!])`, write],
  [String.raw`(?:给我|帮我)?写[^\n，。]{0,8}?${textKindZh}`, write],

  [
    String.raw`\b(?:hi|hello|hey|good\s+(?:morning|afternoon|evening))\b(?:\s+there)?|你好|您好|哈喽|早上好|晚上好`,
    greet,
  ],
  [String.raw`\b(?:thanks|thank\s+you)\b(?:\s+(?:very\s+much|a\s+lot))?|谢谢|多谢`, thanks],
];

export const rules: readonly Rule[] = table.map(([pattern, read]) => ({ pattern: new RegExp(pattern, "giu"), read }));
