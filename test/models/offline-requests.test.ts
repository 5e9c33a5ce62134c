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
