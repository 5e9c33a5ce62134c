import { getEventListeners } from "node:events";
import { afterEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { messageListProblem, type Message, type ToolOutcome } from "../../machines/messages.ts";
import type { ModelChunk, ModelRequest, ToolDescription } from "../../runtime/models/chat-model.ts";
import { offlineModel } from "../../runtime/models/offline.ts";
import { wordsOf } from "../../runtime/models/offline/pieces.ts";
import { actingTools, standardTools } from "../../tools/index.ts";
import { fakeContext, makeSandbox } from "../tools/fixture.ts";

const descriptions = [...standardTools(), ...actingTools()].map((tool): ToolDescription => ({
  name: tool.name,
  description: tool.description,
  parameters: {},
}));

interface Reply {
  readonly text: string;
  readonly calls: { name: string; args: string }[];
  readonly finish: string;
  readonly chunks: ModelChunk[];
}

async function ask(messages: readonly Message[], tools = descriptions): Promise<Reply> {
  expect(messageListProblem(messages)).toBeUndefined();
  const request: ModelRequest = { instructions: "", messages, tools };
  const chunks: ModelChunk[] = [];
  for await (const chunk of offlineModel({ paceMs: 0 }).stream(request, { signal: new AbortController().signal })) {
    chunks.push(chunk);
  }
  let text = "";
  let finish = "none";
  const calls: { name: string; args: string }[] = [];
  for (const chunk of chunks) {
    if (chunk.type === "text") text += chunk.text;
    if (chunk.type === "finish") finish = chunk.finish;
    if (chunk.type !== "tool_call") continue;
    const call = (calls[chunk.index] ??= { name: "", args: "" });
    call.name += chunk.name ?? "";
    call.args += chunk.args ?? "";
  }
  return { text, calls, finish, chunks };
}

const user = (content: string): Message => ({ role: "user", content });
const cut = (content: string): Message => ({ role: "assistant", content, cut: true });
const answer = (content: string): Message => ({ role: "assistant", content });

let calls = 0;
/** The message that asks for the calls of a reply, and what became of them; the last result stands for all that follow. */
function settled(reply: Reply, ...results: (string | readonly [ToolOutcome, string])[]): Message[] {
  const toolCalls = reply.calls.map((call) => ({ callId: `c${++calls}`, providerCallId: "", ...call }));
  return [
    { role: "assistant", content: reply.text, toolCalls },
    ...toolCalls.map(({ callId, name }, index): Message => {
      const result = results[index] ?? results.at(-1) ?? "null";
      const [outcome, content] = typeof result === "string" ? (["ok", result] as const) : result;
      return { role: "tool", callId, name, outcome, content };
    }),
  ];
}

const nineFiles = JSON.stringify({ files: ["machines/a.ts"], count: 9 });

afterEach(() => {
  vi.useRealTimers();
});

describe("two requests in one task", () => {
  const task = user("How many .ts files are in machines, and what is 17*23?");

  test("are two calls in one message, their arguments in several interleaved fragments", async () => {
    const { chunks, calls, finish, text } = await ask([task]);
    expect(calls.map(({ name, args }) => [name, JSON.parse(args)])).toEqual([
      ["list_files", { path: "machines", pattern: "*.ts", recursive: true }],
      ["calculate", { expression: "17*23" }],
    ]);
    expect(finish).toBe("tool_calls");
    expect(text).toBe("");
    const order = chunks.flatMap((chunk) => (chunk.type === "tool_call" ? [chunk.index] : []));
    expect(order.slice(0, 6)).toEqual([0, 1, 0, 1, 0, 1]);
    expect(order.filter((index) => index === 1).length).toBeGreaterThan(3);
  });

  test("are answered from the results, whatever they say", async () => {
    const first = await ask([task]);
    const { text, finish, chunks } = await ask([task, ...settled(first, nineFiles, "392")]);
    expect(text).toBe("There are 9 .ts files in machines. 17*23 = 392.");
    expect(finish).toBe("stop");
    expect(chunks.at(-1)).toMatchObject({
      type: "finish",
      usage: { inputTokens: expect.any(Number), outputTokens: wordsOf(text).length },
    });
  });

  test("work with the real tools, in English and Chinese", async () => {
    const box = await makeSandbox();
    try {
      for (const name of ["a.ts", "b.ts", "deep/c.ts", "d.md"]) await box.write(`root/machines/${name}`, "x");
      const tools = new Map(standardTools({ root: box.root }).map((tool) => [tool.name, tool]));
      const converse = async (task: Message): Promise<string> => {
        const first = await ask([task]);
        const results: (string | readonly [ToolOutcome, string])[] = [];
        for (const { name, args } of first.calls) {
          const prepared = await tools.get(name)?.prepare(JSON.parse(args));
          if (prepared?.ok !== true) throw new Error(`not ready: ${name}`);
          try {
            const output = await prepared.start(fakeContext());
            results.push(typeof output === "string" ? output : JSON.stringify(output));
          } catch (error) {
            results.push(["error", String(error)]);
          }
        }
        return (await ask([task, ...settled(first, ...results)])).text;
      };
      expect(await converse(task)).toBe("There are 3 .ts files in machines. 17*23 = 391.");
      expect(await converse(user("machines里有多少个.ts文件？17乘以23等于多少？"))).toBe(
        "machines 里有 3 个 .ts 文件。17*23 = 391。",
      );
      expect(await converse(user("read machines/d.md"))).toBe("machines/d.md has 1 line. It says:\n\nx");
      expect(await converse(user("read ../outside.txt"))).toBe(
        'Reading ../outside.txt failed: "../outside.txt" is outside of the folder that file tools may use. Use a path inside it.',
      );
    } finally {
      await box.remove();
    }
  });
});

describe("what it understands", () => {
  test.each([
    ["list files", "list_files", { path: "." }],
    ["List the files in tools.", "list_files", { path: "tools" }],
    ["list all the files in src", "list_files", { path: "src", recursive: true }],
    ["list all .md files", "list_files", { path: ".", pattern: "*.md", recursive: true }],
    ["what is in machines?", "list_files", { path: "machines" }],
    [
      "How many TypeScript files are there in the runtime folder?",
      "list_files",
      { path: "runtime", pattern: "*.ts", recursive: true },
    ],
    ["how many files does machines have", "list_files", { path: "machines", recursive: true }],
    ["read README.md", "read_file", { path: "README.md" }],
    ["what's in package.json?", "read_file", { path: "package.json" }],
    ["open the file machines/agent.ts", "read_file", { path: "machines/agent.ts" }],
    ["search for 'what is 17*23' in tools", "search_text", { query: "what is 17*23", path: "tools" }],
    ["search for ctx.signal", "search_text", { query: "ctx.signal", path: "." }],
    ["17 times 23", "calculate", { expression: "17 * 23" }],
    ["what's (2+3)*4 / 7?", "calculate", { expression: "(2+3)*4 / 7" }],
    ["15% of 1,200", "calculate", { expression: "15% * 1200" }],
    ["what is the square root of 2", "calculate", { expression: "sqrt(2)" }],
    ["what time is it?", "current_time", {}],
    ["What's the time in New York?", "current_time", { timeZone: "America/New_York" }],
    ["what time is it in Mars/Olympus", "current_time", { timeZone: "Mars/Olympus" }],
    ["wait 5 seconds", "wait", { seconds: 5 }],
    ["wait for 2 minutes", "wait", { seconds: 120 }],
    ["列出 machines 里的文件", "list_files", { path: "machines" }],
    ["machines 目录下有多少个 ts 文件？", "list_files", { path: "machines", pattern: "*.ts", recursive: true }],
    ["读取 README.md", "read_file", { path: "README.md" }],
    ["在 tools 里搜索 realpath", "search_text", { query: "realpath", path: "tools" }],
    ["17乘以23", "calculate", { expression: "17*23" }],
    ["计算 3加4", "calculate", { expression: "3+4" }],
    ["现在几点了？", "current_time", {}],
    ["东京现在几点", "current_time", { timeZone: "Asia/Tokyo" }],
    ["等5秒", "wait", { seconds: 5 }],
    ["run ls -la", "run_command", { command: "ls", args: ["-la"] }],
    [
      "execute the command `git log --format='%h %s'`",
      "run_command",
      { command: "git", args: ["log", "--format=%h %s"] },
    ],
    ["can you run cat README.md?", "run_command", { command: "cat", args: ["README.md"] }],
    ["write 'hello' to notes.txt", "write_file", { path: "notes.txt", content: "hello" }],
    ['save "read README.md" as a/b.md', "write_file", { path: "a/b.md", content: "read README.md" }],
    ["create a file called a.md with 'x'", "write_file", { path: "a.md", content: "x" }],
    ["overwrite a.md with 'y'", "write_file", { path: "a.md", content: "y", overwrite: true }],
    ["fetch https://example.com/a?b=1.", "fetch_url", { url: "https://example.com/a?b=1" }],
    ["ask me which city", "ask_user", { question: "Which city?" }],
    [
      "ask me which city: Paris, Rome or Oslo",
      "ask_user",
      { question: "Which city: Paris, Rome or Oslo?", options: ["Paris", "Rome", "Oslo"] },
    ],
    ["read a file", "ask_user", { question: "Which file?" }],
    ["运行 git status", "run_command", { command: "git", args: ["status"] }],
    ["把“你好”写到 notes.txt", "write_file", { path: "notes.txt", content: "你好" }],
    ["写文件 a.txt，内容是“x”", "write_file", { path: "a.txt", content: "x" }],
    ["抓取 https://example.com", "fetch_url", { url: "https://example.com" }],
    ["问我想去哪个城市", "ask_user", { question: "想去哪个城市？" }],
    [
      "问我去哪里：巴黎、罗马还是奥斯陆",
      "ask_user",
      { question: "去哪里：巴黎、罗马还是奥斯陆？", options: ["巴黎", "罗马", "奥斯陆"] },
    ],
  ])("%s", async (text, name, args) => {
    const { calls } = await ask([user(text)]);
    expect(calls.map((call) => [call.name, JSON.parse(call.args)])).toEqual([[name, args]]);
  });

  test.each([
    ["hello", /offline model/],
    ["what can you do?", /^I am the offline model.*OPENAI_API_KEY or OPENAI_BASE_URL/],
    ["thanks!", /^You are welcome\.$/],
    ["你好", /^你好！我是离线模型/],
    ["你能做什么？", /^我是离线模型.*OPENAI_BASE_URL/],
    ["use Celsius instead", /"use Celsius instead".*I can count.*OPENAI_API_KEY or OPENAI_BASE_URL/],
    ["明天天气怎么样", /没有听懂“明天天气怎么样”.*OPENAI_API_KEY 或 OPENAI_BASE_URL/],
    ["", /^I am the offline model/],
  ])("%s is answered without a call", async (text, pattern) => {
    const reply = await ask([user(text)]);
    expect(reply.text).toMatch(pattern);
    expect(reply).toMatchObject({ calls: [], finish: "stop" });
  });

  test("what acts is told as its tool told it, and why it was not done", async () => {
    const task = user("run ls and write 'x' to a.txt and fetch https://a.example/");
    const first = await ask([task]);
    const ran = JSON.stringify({ exitCode: 2, signal: null, stdout: "one\ntwo\n", stderr: "bad\n" });
    const no: readonly [ToolOutcome, string] = ["rejected", "Rejected by a person: not there. It did not run."];
    const page = JSON.stringify({ url: "https://a.example/", status: 404, text: " " });
    expect((await ask([task, ...settled(first, ran, no, page)])).text).toBe(
      'The command ended with 2 and wrote:\n\none\ntwo\nbad\n\nWriting a.txt was not approved, so I did not do it. You said: "not there".\n\nhttps://a.example/ answered 404 and no text.',
    );
    const saved = JSON.stringify({ path: "a.txt", bytes: 1, created: false });
    const chinese = user("把'x'写到 a.txt");
    expect((await ask([chinese, ...settled(await ask([chinese]), saved)])).text).toBe("已覆盖 a.txt，共 1 字节。");
  });

  test("what a limit kept from running is called again", async () => {
    const task = user("what is 2+2");
    const over: readonly [ToolOutcome, string] = [
      "skipped",
      "Skipped: a limit of the run was reached. It did not run.",
    ];
    const again = await ask([task, ...settled(await ask([task]), over)]);
    expect(again.calls.map(({ name }) => name)).toEqual(["calculate"]);
  });

  test("a request that lacks what it is about is asked for, and done with the answer", async () => {
    const task = user("read a file and run a command");
    const first = await ask([task]);
    expect(first.calls.map(({ args }) => JSON.parse(args))).toEqual([
      { question: "Which file?" },
      { question: "Which command?" },
    ]);
    const answers = settled(first, "a.md", '"ls -a"');
    const second = await ask([task, ...answers]);
    expect(second.calls.map(({ name, args }) => [name, JSON.parse(args)])).toEqual([
      ["read_file", { path: "a.md" }],
      ["run_command", { command: "ls", args: ["-a"] }],
    ]);
    const file = JSON.stringify({ path: "a.md", text: "hi", totalLines: 1 });
    const ran = JSON.stringify({ exitCode: 0, signal: null, stdout: "", stderr: "" });
    expect((await ask([task, ...answers, ...settled(second, file, ran)])).text).toBe(
      "a.md has 1 line. It says:\n\nhi\n\nThe command ran and wrote nothing.",
    );
    const plain = user("ask me which city");
    expect((await ask([plain, ...settled(await ask([plain]), "Rome")])).text).toBe("You said: Rome");
  });

  test("the part of a task that no rule takes is named, not passed over", async () => {
    const task = user("what is 2+2, and what's the weather in Rome?");
    const { text } = await ask([task, ...settled(await ask([task]), "4")]);
    expect(text).toMatch(/^2\+2 = 4\. I am the offline model, and I do not understand "what's the weather in Rome":/);
  });

  test("a long answer has something to interrupt, a short one has not", async () => {
    const long = (await ask([user("Write a long answer about tea")])).text;
    expect(long.split(/\s+/).length).toBeGreaterThan(250);
    expect(long.split(/\s+/).length).toBeLessThan(450);
    expect(long).toContain("about tea");
    expect((await ask([user("write a short answer about tea")])).text.length).toBeLessThan(long.length / 4);
    const chinese = (await ask([user("写一篇关于茶的长文")])).text;
    expect(chinese.length).toBeGreaterThan(400);
    expect(chinese).toContain("关于茶的长文");
  });

  test.each(["search for ", "a/", "write ", '"', "1+", "(", " in the folder", "列出的", "list all the ", "1,000"])(
    "a long run of %j does not hold it up",
    async (text) => {
      expect((await ask([user(text.repeat(100_000))])).finish).toMatch(/stop|tool_calls/);
    },
  );
});

describe("honest about what did not happen", () => {
  test("a tool that it does not have is not called, and it says so", async () => {
    const reply = await ask([user("what time is it, and what is 2+2?")], []);
    expect(reply.calls).toEqual([]);
    expect(reply.text).toBe(
      "Asking for the time needs the tool current_time, which I do not have here. Calculating 2+2 needs the tool calculate, which I do not have here.",
    );
  });

  const outcomes: [ToolOutcome, string, string][] = [
    ["error", "Error: it broke.", "Waiting 5 seconds failed: it broke."],
    ["skipped", "Skipped", "Waiting 5 seconds was skipped because the run was stopped before it started."],
    ["aborted", "Aborted", "Waiting 5 seconds was stopped before it was finished."],
    ["rejected", "Rejected", "Waiting 5 seconds was not approved, so I did not do it."],
    ["timeout", "Timeout", "Waiting 5 seconds took too long and was given up."],
    ["unknown", "Unknown", "Waiting 5 seconds was started, and nobody knows how it ended."],
  ];
  test.each(outcomes)("%s is reported, and the call is not made again", async (outcome, content, sentence) => {
    const task = user("wait 5 seconds and calculate 2+2");
    const reply = await ask([task, ...settled(await ask([task]), [outcome, content], "4")]);
    expect(reply.calls).toEqual([]);
    expect(reply.text).toContain(sentence);
    expect(reply.text).toContain("2+2 = 4.");
  });

  test("a result in another form than the standard tool's is handed on as it is", async () => {
    const task = user("count files");
    expect((await ask([task, ...settled(await ask([task]), '{"n":3}')])).text).toBe(
      'Counting the files in this folder gave: {"n":3}',
    );
  });

  test("a call whose recorded arguments were made unreadable is not made again", async () => {
    const task = user("read secret.txt");
    const first = await ask([task]);
    const hidden = { ...first, calls: first.calls.map(({ name }) => ({ name, args: '{"path":"***"}' })) };
    expect(await ask([task, ...settled(hidden, ["error", "Error: no."])])).toMatchObject({
      calls: [],
      text: "Reading secret.txt failed: no.",
    });
  });
});

describe("redirection", () => {
  const essay = user("write a long answer about tea");

  test("after a cut answer, what comes is the new direction", async () => {
    const messages = [essay, cut("This is a longer"), user("stop that, what is 2+2?")];
    const first = await ask(messages);
    expect(first.calls).toEqual([{ name: "calculate", args: '{"expression":"2+2"}' }]);
    expect((await ask([...messages, ...settled(first, "4")])).text).toBe("2+2 = 4.");
  });

  test.each(["skipped", "aborted"] as const)("after %s calls, too", async (outcome) => {
    const task = user("wait 60 seconds");
    const stopped = [task, ...settled(await ask([task]), [outcome, ""])];
    const redirected = [...stopped, user("what is 2+2?")];
    const next = await ask(redirected);
    expect(next.calls).toMatchObject([{ name: "calculate" }]);
    expect((await ask([...redirected, ...settled(next, "4")])).text).toBe("2+2 = 4.");
    expect((await ask([...stopped, user("wait 60 seconds")])).calls).toMatchObject([{ name: "wait" }]);
    expect((await ask([...stopped, user("continue")])).calls).toMatchObject([{ name: "wait" }]);
  });

  test("messages that come while it works are all answered", async () => {
    const task = user("what is 2+2?");
    const first = await ask([task]);
    const steered = [task, ...settled(first, "4"), user("and what is 3*3?"), user("what time is it?")];
    const second = await ask(steered);
    expect(second.calls.map(({ name }) => name)).toEqual(["calculate", "current_time"]);
    const clock = JSON.stringify({
      timeZone: "UTC",
      local: "2026-11-02 14:05:09",
      offset: "+00:00",
      weekday: "Monday",
    });
    expect((await ask([...steered, ...settled(second, "9", clock)])).text).toBe(
      "2+2 = 4. 3*3 = 9. In UTC it is Monday, 2026-11-02 14:05:09 (UTC+00:00).",
    );
  });

  test("the same request in a new turn is a new call", async () => {
    const task = user("what is 2+2?");
    const turn = [task, ...settled(await ask([task]), "4"), answer("2+2 = 4.")];
    expect((await ask([...turn, task])).calls).toHaveLength(1);
  });

  test.each(["make it shorter", "briefly please", "简短一点"])("%s: the last topic in short form", async (how) => {
    for (const said of [cut("This is a longer text"), answer("This is a longer text about tea.")]) {
      const { text } = await ask([essay, said, user(how)]);
      expect(text).toMatch(/^In short, about tea/);
      const later = await ask([essay, said, user("thanks!"), answer("You are welcome."), user(how)]);
      expect(later.text).toBe(text);
    }
  });

  test("in Chinese: the last topic in Chinese, from the results that are there", async () => {
    const task = user("how many files are in machines?");
    const turn = [task, ...settled(await ask([task]), nineFiles)];
    for (const messages of [turn, [...turn, answer("There are 9 files in machines.")]]) {
      expect(await ask([...messages, user("in Chinese")])).toMatchObject({
        calls: [],
        text: "machines 里有 9 个文件。",
      });
    }
    const short = [essay, cut("This"), user("shorter"), cut("In short,"), user("用中文")];
    expect((await ask(short)).text).toMatch(/^简单地说/);
    expect((await ask([...short, answer("简单地说"), user("go on, shorter")])).text).toMatch(/^简单地说/);
  });
});

describe("going on with a cut answer", () => {
  test("wherever it was cut, the rest follows without repetition", async () => {
    for (const task of ["write a long answer about tea", "写一篇关于茶的长文"]) {
      const { text, chunks } = await ask([user(task)]);
      let said = "";
      for (const chunk of chunks.slice(0, -2)) {
        if (chunk.type !== "text") continue;
        said += chunk.text;
        const rest = (await ask([user(task), cut(said)])).text;
        expect(said + rest).toBe(text);
      }
    }
  });

  test("cut twice, and asked to by words", async () => {
    const task = user("write a long answer about tea");
    const { text } = await ask([task]);
    const twice = [task, cut(text.slice(0, 100)), cut(text.slice(100, 200))];
    expect((await ask(twice)).text).toBe(text.slice(200));
    for (const word of ["continue", "go on", "继续"]) {
      expect((await ask([...twice, user(word)])).text).toBe(text.slice(200));
    }
    expect((await ask([task, cut(text)])).text).toBe("That was all.");
    expect((await ask([task, answer(text.slice(0, 100))])).text).toBe(text.slice(100));
  });

  test("an answer from results goes on from the same results", async () => {
    const task = user("what is 2+2?");
    const turn = [task, ...settled(await ask([task]), "4"), cut("2+2 =")];
    expect(await ask(turn)).toMatchObject({ calls: [], text: " 4." });
    const talked = [task, cut("Let me see"), ...settled(await ask([task]), "4")];
    expect((await ask(talked)).text).toBe("2+2 = 4.");
  });

  test("a text of another model is not continued as if it were its own", async () => {
    const { text } = await ask([user("hello"), cut("Greetings, tra")]);
    expect(text).toMatch(/^I cannot go on with that text word for word.* Hello!/);
  });
});

describe("the stream", () => {
  const request: ModelRequest = { instructions: "", messages: [user("write a long answer about tea")], tools: [] };

  test("depends on the request alone, and leaves it as it is", async () => {
    const task = user("what is 2+2, how many files are there?");
    const messages = [task, ...settled(await ask([task]), "4", nineFiles)];
    const before = JSON.stringify(messages);
    expect((await ask(messages)).chunks).toEqual((await ask(messages)).chunks);
    expect(JSON.stringify(messages)).toBe(before);
  });

  test("pace 0 uses no timer", async () => {
    vi.useFakeTimers();
    const { text } = await ask(request.messages);
    expect(text).not.toBe("");
    expect(vi.getTimerCount()).toBe(0);
  });

  test("waits before each piece, 30 ms when nothing else is said", async () => {
    const waits: number[] = [];
    const sleep = async (ms: number) => void waits.push(ms);
    let pieces = 0;
    for await (const chunk of offlineModel({ sleep }).stream(request, { signal: new AbortController().signal })) {
      if (chunk.type === "text") pieces++;
    }
    expect(waits).toEqual(Array.from({ length: pieces }, () => 30));
  });

  test("begins nothing before it is read", () => {
    const sleep = vi.fn(async () => undefined);
    offlineModel({ sleep }).stream(request, { signal: new AbortController().signal });
    expect(sleep).not.toHaveBeenCalled();
  });

  test("an abort ends a pause at once and leaves no timer and no listener", async () => {
    vi.useFakeTimers();
    const controller = new AbortController();
    const chunks = offlineModel({ paceMs: 1000 }).stream(request, { signal: controller.signal });
    const stream = chunks[Symbol.asyncIterator]();
    const first = stream.next();
    await vi.advanceTimersByTimeAsync(1000);
    expect(await first).toEqual({ done: false, value: { type: "text", text: "This" } });
    expect(vi.getTimerCount()).toBe(0);
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
    const second = stream.next();
    await vi.advanceTimersByTimeAsync(1);
    expect(vi.getTimerCount()).toBe(1);
    controller.abort();
    expect(await second).toEqual({ done: true, value: undefined });
    expect(vi.getTimerCount()).toBe(0);
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
  });

  test("a signal that is aborted already yields nothing", async () => {
    vi.useFakeTimers();
    const stream = offlineModel().stream(request, { signal: AbortSignal.abort() })[Symbol.asyncIterator]();
    expect(await stream.next()).toEqual({ done: true, value: undefined });
    expect(vi.getTimerCount()).toBe(0);
  });

  test("pieces put together are the text again", () => {
    for (const text of ["", " ", "a  b\n\nc ", "混合 mixed，文字。😀 end", "，。", "\n中"])
      expect(wordsOf(text).join("")).toBe(text);
  });

  test.each([-1, 10_001, Number.NaN])("pace %s is refused", (paceMs) => {
    expect(() => offlineModel({ paceMs })).toThrow(/paceMs must be from 0 to 10,000, got/);
  });

  test("the arguments that it makes are what the standard tools take", async () => {
    const tools = new Map(standardTools().map((tool) => [tool.name, tool]));
    const everything =
      "list files in src, count files, read a.md, search for x in src, what is 1+1, what time is it, wait 1 second";
    const { calls } = await ask([user(everything)]);
    expect(calls.map(({ name }) => name)).toEqual([
      "list_files",
      "list_files",
      "read_file",
      "search_text",
      "calculate",
      "current_time",
      "wait",
    ]);
    for (const { name, args } of calls) {
      expect(
        z.object({ ok: z.literal(true) }).safeParse(await tools.get(name)?.prepare(JSON.parse(args))).success,
      ).toBe(true);
    }
  });
});
