import { wordsOfCommand } from "./command-line.ts";
import { without, type Read, type Row } from "./rule.ts";
import * as words from "./words.ts";

const { file, path, quoted } = words;
/** Words behind "run" that are no program. */
const noProgram = /^(?:the|a|an|it|this|that|these|all|my|some|for|out|into|away|down|一个|一下|命令)$/i;
const url = String.raw`(?<url>https?:\/\/[^\s"'<>”」]+)`;
const commandEnd = String.raw`(?=\s*(?:$|[\n;?!，。；？！]|\.(?:\s|$)|,?\s(?:and\s+then|and|then)\s))`;

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

/** Files that are written, commands, pages and questions. */
export const actingRules: readonly Row[] = [
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
];
