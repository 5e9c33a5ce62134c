import { describe, expect, test } from "vitest";
import type { ToolDescription } from "../../runtime/models/chat-model.ts";
import { planFor } from "../../runtime/models/offline/plan.ts";
import type { Message } from "../../machines/messages.ts";
import { actingTools, standardTools } from "../../tools/index.ts";

const tools = [...standardTools(), ...actingTools()].map(({ name, description }): ToolDescription => ({
  name,
  description,
  parameters: {},
}));

const user = (content: string): Message => ({ role: "user", content });

/** What a task makes it call, in one line for each call. */
function callsOf(...messages: readonly Message[]): string[] {
  const plan = planFor({ instructions: "", messages, tools });
  return plan.kind === "text" ? [] : plan.calls.map(({ name, args }) => `${name} ${args}`);
}

/** What it says; for a task that needs no tool. */
function textOf(...messages: readonly Message[]): string {
  const plan = planFor({ instructions: "", messages, tools });
  return plan.kind === "text" ? plan.text : "";
}

const calculate = (expression: string) => `calculate ${JSON.stringify({ expression })}`;

describe("arithmetic", () => {
  test.each([
    ["10减3再乘2", "(10-3)*2"],
    ["10加5再除以3", "(10+5)/3"],
    ["10加5，再除以3", "(10+5)/3"],
    ["计算17乘23再加4", "(17*23)+4"],
    ["10减3的差乘以2", "(10-3)*2"],
    ["10 minus 3, then times 2", "(10 - 3) * 2"],
    ["10 plus 5 divided by 3", "10 + 5 / 3"],
    ["add 3 and 4", "3 + 4"],
    ["add 1, 2 and 3", "1 + 2 + 3"],
    ["multiply 6 by 7", "6 * 7"],
    ["subtract 3 from 10", "10 - 3"],
    ["divide 1,000 by 8", "1000 / 8"],
    ["what is 17 x 23?", "17 * 23"],
    ["80的15%是多少", "15% * 80"],
    ["what is 5-3", "5-3"],
    ["5-3", "5-3"],
    ["5-3 please", "5-3"],
    ["5-3等于多少", "5-3"],
    ["帮我算5-3", "5-3"],
    ["I have 2+2", "2+2"],
  ])("%s", (task, expression) => {
    expect(callsOf(user(task))).toEqual([calculate(expression)]);
  });

  test.each([
    "my phone is 555-1234",
    "the meeting is 10-12 on 2024-01-02",
    "the ratio is 3-2",
    "my screen is 1920x1080",
    "what is 2024-01-02",
    "10加55再除3",
  ])("%s is no arithmetic", (text) => {
    expect(callsOf(user(text))).toEqual([]);
    expect(textOf(user(text))).toContain(text);
  });

  test("two of them", () => {
    expect(callsOf(user("what's 5-3 and 7*2?"))).toEqual([calculate("5-3"), calculate("7*2")]);
    expect(callsOf(user("list files and 5-3"))).toEqual(['list_files {"path":"."}', calculate("5-3")]);
    expect(callsOf(user("10减3，然后列出文件"))).toEqual([calculate("10-3"), 'list_files {"path":"."}']);
  });
});

const read = (path: string) => `read_file ${JSON.stringify({ path })}`;
const list = (path: string) => `list_files ${JSON.stringify({ path })}`;
const count = (path: string, pattern?: string) => `list_files ${JSON.stringify({ path, pattern, recursive: true })}`;
const search = (query: string, path = ".") => `search_text ${JSON.stringify({ query, path })}`;

describe("files", () => {
  test.each([
    ["read src/a.ts and src/b.ts", [read("src/a.ts"), read("src/b.ts")]],
    ["read a.ts, b.ts and c.ts", [read("a.ts"), read("b.ts"), read("c.ts")]],
    ["读 README.md 和 package.json", [read("README.md"), read("package.json")]],
    ["读文件 src/a.ts 和 src/b.ts", [read("src/a.ts"), read("src/b.ts")]],
    ["list src and docs", [list("src"), list("docs")]],
    ["list files in src and docs and count files", [list("src"), list("docs"), count(".")]],
    ["how many files are in src and docs?", [count("src"), count("docs")]],
    ["count the .ts and .js files in src", [count("src", "*.ts"), count("src", "*.js")]],
    ["how many ts files and js files are in src", [count("src", "*.ts"), count("src", "*.js")]],
    ["src 下面有几个 ts 文件和几个 js 文件", [count("src", "*.ts"), count("src", "*.js")]],
    ["search for TODO and export", [search("TODO"), search("export")]],
    ["search for TODO in src and docs", [search("TODO", "src"), search("TODO", "docs")]],
    ["search for \"a and b\" and 'c'", [search("a and b"), search("c")]],
    ["find all occurrences of TODO", [search("TODO")]],
    ["find all occurrences of TODO in src", [search("TODO", "src")]],
    ["which files contain the word TODO?", [search("TODO")]],
    ["which files in src mention TODO?", [search("TODO", "src")]],
    ["does any file mention Hello?", [search("Hello")]],
    ["找一下 Hello 在哪里", [search("Hello")]],
    ["哪些文件里有 TODO？", [search("TODO")]],
    ["在 README.md 里找 TODO", [search("TODO", "README.md")]],
    ["查看 package.json 文件", [read("package.json")]],
    ["read a.ts in src", [read("src/a.ts")]],
    ["List the contents of the current directory", [list(".")]],
    ["let me see package.json", [read("package.json")]],
    ["看看 src 里面有什么", [list("src")]],
    ["列一下 machines 目录", [list("machines")]],
    ["把 src/b.ts 读给我", [read("src/b.ts")]],
    ["how many rust files are here", [count(".", "*.rs")]],
  ])("%s", (task, calls) => {
    expect(callsOf(user(task))).toEqual(calls);
  });

  test.each([
    ["list src and read a.md", [list("src"), read("a.md")]],
    ["list src and what is 2+2", [list("src"), calculate("2+2")]],
    ["search for foo bar and count files", [search("foo bar"), count(".")]],
    ["search for TODO and list files", [search("TODO"), list(".")]],
    ["count files in src, please", [count("src")]],
    ["1. list files\n2. read a.md", [list("."), read("a.md")]],
    ["read a.ts in full", [read("a.ts")]],
    ["machines 有哪些 ts 文件", [count("machines", "*.ts")]],
    ["find 'x' in src", [search("x", "src")]],
  ])("%s stays what it was", (task, calls) => {
    expect(callsOf(user(task))).toEqual(calls);
  });

  test("a kind of file that it does not know is not counted as all files", () => {
    expect(textOf(user("how many beautiful files are here"))).toContain('"how many beautiful files are here"');
  });
});

const time = (timeZone?: string) => `current_time ${JSON.stringify({ timeZone })}`;

describe("the time", () => {
  test.each([
    ["what time is it in Tokyo and London?", [time("Asia/Tokyo"), time("Europe/London")]],
    ["what time is it in New York and what is 2+2", [time("America/New_York"), calculate("2+2")]],
    ["东京和伦敦现在几点？", [time("Asia/Tokyo"), time("Europe/London")]],
    ["现在伦敦时间是几点", [time("Europe/London")]],
    ["东京时间", [time("Asia/Tokyo")]],
    ["time in London", [time("Europe/London")]],
    ["今天是几月几日", [time()]],
    ["what time is it in Tokyo, please", [time("Asia/Tokyo")]],
  ])("%s", (task, calls) => {
    expect(callsOf(user(task))).toEqual(calls);
  });
});

describe("a long text", () => {
  test.each([
    ["give me a long explanation of TCP", /^This is a longer text about TCP\./],
    ["write a long answer, about tea", /^This is a longer text about tea\./],
    ["写一个很长的回答，关于音乐", /^下面是一篇关于音乐的长文。/],
    ["写一篇长文介绍长城", /^下面是一篇关于长城的长文。/],
    ["写一篇关于茶的长文", /^下面是一篇关于茶的长文。/],
  ])("%s is about what it was asked for", (task, start) => {
    expect(textOf(user(task))).toMatch(start);
    expect(textOf(user(task))).not.toContain("offline model, and I do not");
  });

  const essay = user("write a long answer about rivers");
  const cut: Message = { role: "assistant", content: "This is a longer", cut: true };
  test.each([
    ["no, about mountains instead", /^This is a longer text about mountains\./],
    ["make it about mountains", /^This is a longer text about mountains\./],
    ["about lakes instead", /^This is a longer text about lakes\./],
    ["write about lakes instead", /^This is a longer text about lakes\./],
    ["make it about lakes, shorter", /^In short, about lakes/],
    ["不，写关于山的", /^下面是一篇关于山的长文。/],
    ["换成山", /^下面是一篇关于山的长文。/],
    ["不要写河流，写山", /^下面是一篇关于山的长文。/],
    ["换成中文", /^下面是一篇关于rivers的长文。/],
    ["what about src?", /do not understand/],
    ["写错了", /没有听懂/],
    ["改成三段", /没有听懂/],
    ["use Celsius instead", /^I am the offline model, and I do not understand/],
    ["写完了吗", /没有听懂“写完了吗”/],
  ])("%s, after a cut one", (how, start) => {
    expect(textOf(essay, cut, user(how))).toMatch(start);
  });

  test("where none was being written, another topic is not understood", () => {
    expect(textOf(user("about lakes instead"))).toMatch(/do not understand "about lakes instead"/);
    expect(textOf(essay, cut, user("what is 2+2"), cut, user("换成山"))).toMatch(/没有听懂“换成山”/);
  });
});

describe("the language of the answer", () => {
  test.each([
    ["17×23=？", /[一-龥]/],
    ["读文件 src/a.ts 和 src/b.ts", /[一-龥]/],
    ["17×23=?", /needs/],
    ["read src/a.ts", /needs/],
  ])("%s", (task, pattern) => {
    const plan = planFor({ instructions: "", messages: [user(task)], tools: [] });
    expect(plan.kind === "text" ? plan.text : "").toMatch(pattern);
  });
});

describe("words that forbid nothing a rule would do stay what they are", () => {
  test.each([
    ["search for z.never in src", ['search_text {"query":"z.never","path":"src"}']],
    ["search for :not in src", ['search_text {"query":":not","path":"src"}']],
    ["read src/foo.not.ts", ['read_file {"path":"src/foo.not.ts"}']],
    ["count files in a.not.b", ['list_files {"path":"a.not.b","recursive":true}']],
    ["I don't understand, list the files", ['list_files {"path":"."}']],
    [
      "run git commit -m fixes, not tested",
      ['run_command {"command":"git","args":["commit","-m","fixes,","not","tested"]}'],
    ],
  ])("%s", (task, calls) => {
    expect(callsOf(user(task))).toEqual(calls);
  });

  test.each([
    ["write about why you should not smoke", /longer text about why you should not smoke/],
    ["write about war and not peace", /longer text about war and not peace/],
    ["别名是什么", /没有听懂/],
    ["不用谢", /没有听懂/],
  ])("%s", (task, said) => {
    expect(textOf(user(task))).toMatch(said);
    expect(textOf(user(task))).not.toMatch(/left this out|没有做/);
  });

  test("a long list of choices without an end does not hold the model up", () => {
    const letters = Array.from({ length: 60 }, (_, index) => `${String(index)} `).join(", ");
    expect(callsOf(user(`ask me which letter: ${letters}`))).toHaveLength(1);
  });
});

describe("what is forbidden is not done", () => {
  test.each([
    ["don't list the files, just tell me the time", ["current_time {}"]],
    ["don't list the files but tell me the time", ["current_time {}"]],
    ["不要列出文件，只告诉我时间", ["current_time {}"]],
    ["别读 README.md，告诉我东京现在几点", ['current_time {"timeZone":"Asia/Tokyo"}']],
    ["do not read a.md. what is 2+2?", [calculate("2+2")]],
    ["I don't want you to run ls, what is 2+2?", [calculate("2+2")]],
    ["list src and not docs", ['list_files {"path":"src"}']],
    ["why don't you list the files", ['list_files {"path":"."}']],
    ["don't forget to list the files", ['list_files {"path":"."}']],
    ["I don't know how many files are in src", ['list_files {"path":"src","recursive":true}']],
    ["你能不能列出文件", ['list_files {"path":"."}']],
    ["特别说明：列出文件", ['list_files {"path":"."}']],
    ["search for 'x, do not read a.md'", ['search_text {"query":"x, do not read a.md","path":"."}']],
  ])("%s", (task, calls) => {
    expect(callsOf(user(task))).toEqual(calls);
  });

  test.each([
    ["do not read README.md", 'I left this out, as you said: "do not read README.md".'],
    ["do not list files and tell me the time", /left this out.*tell me the time/],
    ["不要列出文件", "按你说的，这个我没有做：“不要列出文件”。"],
    ["write a long answer about how not to fail", /a longer text about how not to fail/],
  ])("%s: it says so", (task, text) => {
    expect(callsOf(user(task))).toEqual([]);
    expect(textOf(user(task))).toMatch(text);
  });

  test("what was asked a moment before is not done either", () => {
    expect(callsOf(user("read a.md and list the files"), user("don't read a.md"))).toEqual(['list_files {"path":"."}']);
  });
});

test.each(["不要", "don't list ", "no, ", "1加2再", "src和", "TODO and ", "换成"])(
  "a long run of %j does not hold it up",
  (text) => {
    const begin = performance.now();
    callsOf(user(text.repeat(2000)));
    expect(performance.now() - begin).toBeLessThan(5000);
  },
);

test.each([
  ["read a.ts, b.ts", "b.ts"],
  ["what is 2+2, 7", "7"],
  ["count files, docs/a", "docs/a"],
])("%s: what is left over is named, even one word", (task, left) => {
  const calls = callsOf(user(task));
  expect(calls).toHaveLength(1);
  const [name = "", args = ""] = calls[0]?.split(/ (.*)/) ?? [];
  const call = { callId: "c", providerCallId: "", name, args };
  const asked: Message = { role: "assistant", content: "", toolCalls: [call] };
  const result: Message = { role: "tool", callId: "c", name, outcome: "ok", content: "4" };
  expect(textOf(user(task), asked, result)).toContain(`do not understand "${left}"`);
});
