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

describe("the language of the answer", () => {
  test.each([
    ["17×23=？", /[一-龥]/],
    ["读文件 src/a.ts", /[一-龥]/],
    ["17×23=?", /needs/],
    ["read src/a.ts", /needs/],
  ])("%s", (task, pattern) => {
    const plan = planFor({ instructions: "", messages: [user(task)], tools: [] });
    expect(plan.kind === "text" ? plan.text : "").toMatch(pattern);
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
