import type { ToolIntent } from "./intent.ts";
import type { Phrases } from "./phrases.ts";
import { reasonIn } from "./results.ts";

const abilities =
  "统计、列出、读取、搜索和写入文件，运行命令，抓取网址，做算术，报时，等待，向你提问，以及就某个话题写一篇长文";
const connect = "要连接真正的模型，请设置 OPENAI_API_KEY 或 OPENAI_BASE_URL。";

const weekdays: ReadonlyMap<string, string> = new Map([
  ["Monday", "星期一"],
  ["Tuesday", "星期二"],
  ["Wednesday", "星期三"],
  ["Thursday", "星期四"],
  ["Friday", "星期五"],
  ["Saturday", "星期六"],
  ["Sunday", "星期日"],
]);

export const chinese: Phrases = {
  space: "",
  greeting: "你好！我是离线模型。可以问我“这里有多少个 .ts 文件，17乘以23等于多少？”，也可以随时打断我。",
  welcome: "不客气。",
  help: `我是离线模型，只是一小套规则，不需要任何接口。我会${abilities}；你可以随时打断我，让我继续，或者换一个方向。${connect}`,
  noMore: "就这些了。",
  anew: "我没法一字不差地接着那段话，所以重新回答一遍。",

  counted: ({ path, type }, { count, incomplete }) =>
    `${folder(path)}${incomplete === true ? "至少" : ""}有 ${count} 个${files(type)}。`,
  listed({ path, type }, { files: names, count, folders = [] }, { short }) {
    const some = names.slice(0, short ? 5 : 20);
    const more = count > some.length ? ` 等，另有 ${count - some.length} 个` : "";
    const below = folders.length === 0 ? "" : `子目录：${folders.slice(0, short ? 5 : 20).join("、")}。`;
    const head = `${folder(path)}有 ${count} 个${files(type)}`;
    return some.length === 0 ? `${head}。${below}` : `${head}：${some.join("、")}${more}。${below}`;
  },
  wasRead({ path, text, totalLines }, { short }) {
    if (text === "") return `${path} 是空文件。`;
    const lines = text.split("\n");
    const count = totalLines ?? lines.length;
    const some = lines.slice(0, short ? 3 : 12);
    const rest = count > some.length ? "开头是：" : "内容是：";
    return `${path} 共有 ${count} 行，${rest}\n\n${some.join("\n").trimEnd()}`;
  },
  found({ query, path }, { matches, count }, { short }) {
    if (count === 0) return `${folder(path)}没有找到“${query}”。`;
    const some = matches.slice(0, short ? 3 : 10).map(({ file, line, text }) => `${file}:${line}: ${text}`);
    const more = count > some.length ? `\n另有 ${count - some.length} 行` : "";
    return `${folder(path)}有 ${count} 行出现“${query}”：\n${some.join("\n")}${more}`;
  },
  calculated: ({ expression }, result, { short }) => (short ? `${result}。` : `${expression} = ${result}。`),
  time: ({ timeZone, local, offset, weekday }) =>
    `${timeZone} 现在是 ${local}，${weekdays.get(weekday) ?? weekday}（UTC${offset}）。`,
  waited: ({ seconds }) => `已经等了 ${seconds} 秒。`,
  ran({ exitCode, stdout, stderr }, { short }) {
    const how = exitCode === 0 ? "命令运行完毕" : `命令结束，退出码 ${exitCode ?? "未知（被信号终止）"}`;
    const said = [stdout, stderr].map((text) => text.trimEnd()).filter((text) => text !== "");
    return said.length === 0 ? `${how}，没有输出。` : `${how}，输出是：\n\n${linesOf(said.join("\n"), short ? 3 : 20)}`;
  },
  saved: ({ path, bytes, created }) => `${created ? "已写入" : "已覆盖"} ${path}，共 ${bytes} 字节。`,
  fetched: ({ url, status, text }, { short }) =>
    `${url} 返回 ${status}${text.trim() === "" ? "，没有正文。" : `：\n\n${linesOf(text.trim(), short ? 3 : 12)}`}`,
  answered: (answer) => `你的回答是：${clip(answer)}`,
  left: (text) => `按你说的，这个我没有做：“${clip(text, 80)}”。`,
  other: (intent, content) => `${describe(intent)}的结果是：${clip(content)}`,
  failed(intent, outcome, content) {
    const what = describe(intent);
    switch (outcome) {
      case "error":
        return `${what}失败了：${clip(content.replace(/^Error: /, ""))}`;
      case "skipped":
        return `${what}被跳过了：还没开始就被打断。如果还需要，请再说一次。`;
      case "aborted":
        return `${what}没有做完就被打断了。如果还需要，请再说一次。`;
      case "rejected":
        return `${what}没有得到批准，所以我没有做。${because(content)}`;
      case "timeout":
        return `${what}用时太久，已经放弃。`;
      case "unknown":
        return `${what}已经开始，但没有人知道结果如何。`;
    }
  },
  missing: (intent, tool) => `${describe(intent)}需要工具 ${tool}，这里没有。`,
  essay: (topic = "停下与继续", { short }) => (short ? brief(topic) : long(topic)),
  unknown(texts) {
    const what = texts.length === 0 ? "" : `，没有听懂${texts.map((text) => `“${clip(text, 60)}”`).join("和")}`;
    return `我是离线模型${what}。我会${abilities}。${connect}`;
  },
};

/** The request as a thing that can fail. */
function describe(intent: ToolIntent): string {
  switch (intent.kind) {
    case "count":
      return `统计${inFolder(intent.path)}的${files(intent.type)}`;
    case "list":
      return `列出${inFolder(intent.path)}的${files(intent.type)}`;
    case "read":
      return `读取 ${intent.path} `;
    case "search":
      return `在${inFolder(intent.path)}搜索“${intent.query}”`;
    case "calculate":
      return `计算 ${intent.expression} `;
    case "time":
      return intent.zone === undefined ? "查询时间" : `查询 ${intent.zone} 的时间`;
    case "wait":
      return `等待 ${intent.seconds} 秒`;
    case "run":
      return `运行 ${clip([intent.command, ...intent.args].join(" "), 80)} `;
    case "save":
      return `写入 ${intent.path} `;
    case "fetch":
      return `抓取 ${clip(intent.url, 80)} `;
    case "ask":
      return `提问“${clip(intent.question, 80)}”`;
  }
}

function files(type: string | undefined): string {
  return type === undefined ? "文件" : ` .${type} 文件`;
}

function folder(path: string): string {
  return path === "." ? "当前目录里" : `${path} 里`;
}

/** With the space that a Latin name wants after a Chinese word. */
function inFolder(path: string): string {
  return path === "." ? folder(path) : ` ${folder(path)}`;
}

function clip(text: string, length = 300): string {
  const line = text.replaceAll(/\s+/g, " ").trim();
  return line.length > length ? `${line.slice(0, length).trimEnd()}……` : line;
}

function because(content: string): string {
  const reason = reasonIn(content);
  return reason === undefined ? "" : `你说：“${clip(reason)}”。`;
}

/** The first lines of an output. */
function linesOf(text: string, most: number): string {
  const lines = text.split("\n");
  return lines.length > most ? `${lines.slice(0, most).join("\n")}\n另有 ${lines.length - most} 行` : text;
}

function brief(topic: string): string {
  return `简单地说，关于${topic}：先看一个真实的例子，再说出它由哪些部分组成，然后问一问少了其中一个会怎样，剩下的往往就是关键。我是离线模型，这只是一个套路，并不是知识；真正的模型能说得更多。`;
}

function long(topic: string): string {
  return [
    `下面是一篇关于${topic}的长文。我是离线模型，对它并没有什么知识，所以请把这篇文字当作思考一个话题的方法，也当作一段足够长、可以在半路打断的文字。`,
    `谈论${topic}，第一步是看一个具体的例子。笼统的话容易写，却很难检验；例子有棱有角，它发生在某个地方、某个时间，有起因，也有人在意它的结果。先写下看到了什么，再写它意味着什么。关于一个话题的争论，多半是因为各人心里想的例子并不相同。`,
    `第二步是说出它的组成部分。不论${topic}由什么构成，总有一些不变，另一些在变，分清哪些是哪些很有好处。对每一个部分都问一句：如果没有它会怎样？如果什么也不会发生，它就只是装饰；如果一切都会停下，那就找到了承重墙，接下来要问的是，又是什么支撑着这堵墙。`,
    `第三步是顺着时间去看。事情会开始、进行、被打断、结束，而最有意思的时刻往往不是开头。${topic}如果在半路停下，会怎么样？是保留已有的东西，还是从头再来，还是从同一个地方接着走，就像什么也没有发生过？这个答案比任何顺利时的描述都更能说明它是怎样建成的。`,
    `最后一步，是用一句话把它说完，再看看丢掉了什么。什么都不舍得丢的总结不是总结，丢掉了意外之处的总结又不值得看。留下意外，去掉其余，然后把这句话交给一个不同意你的人。`,
    `老实说，我能说的就是这些。想了解${topic}的事实，请连接真正的模型；如果只是想练习打断、继续和改变方向，有我就够了。`,
  ].join("\n\n");
}
