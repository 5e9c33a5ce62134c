import { expect, test } from "vitest";
import { z } from "zod";
import { actingTools, askUser, standardTools } from "../../tools/index.ts";
import { fakeContext, makeSandbox } from "./fixture.ts";

test("the standard tools: all may run twice, none waits for approval, each says itself in JSON schema", () => {
  const tools = standardTools();
  expect(tools.map((tool) => tool.name)).toEqual([
    "calculate",
    "list_files",
    "read_file",
    "search_text",
    "current_time",
    "wait",
  ]);
  for (const tool of tools) {
    expect(tool).toMatchObject({ idempotent: true, approval: "never", description: expect.stringMatching(/\.$/) });
    const schema = z.toJSONSchema(tool.input, { io: "input", target: "draft-7" });
    expect(schema).toMatchObject({ type: "object", properties: expect.any(Object) });
  }
});

test("the root is the folder that was current when the tools were made, or the one that is given", async () => {
  const box = await makeSandbox();
  try {
    await box.write("root/only.txt", "");
    const list = standardTools({ root: box.root })[1];
    const prepared = await list?.prepare({});
    if (prepared?.ok !== true) throw new Error("not ready");
    expect(await prepared.start(fakeContext())).toMatchObject({ files: ["only.txt"], count: 1 });
    const here = await standardTools()[1]?.prepare({});
    if (here?.ok !== true) throw new Error("not ready");
    expect(await here.start(fakeContext())).toMatchObject({ files: expect.arrayContaining(["package.json"]) });
  } finally {
    await box.remove();
  }
});

test("the tools that act: each waits for a person, and says itself in JSON schema", async () => {
  const tools = actingTools();
  expect(
    tools.map(({ name, asks, idempotent, exclusive, onCrash }) => ({ name, asks, idempotent, exclusive, onCrash })),
  ).toEqual([
    { name: "run_command", asks: false, idempotent: false, exclusive: true, onCrash: "ask" },
    { name: "write_file", asks: false, idempotent: false, exclusive: true, onCrash: "report" },
    { name: "fetch_url", asks: false, idempotent: true, exclusive: false, onCrash: "rerun" },
    { name: "ask_user", asks: true, idempotent: true, exclusive: false, onCrash: "rerun" },
  ]);
  for (const tool of tools) {
    expect(tool).toMatchObject({ approval: "always", description: expect.stringMatching(/\.$/) });
    const schema = z.toJSONSchema(tool.input, { io: "input", target: "draft-7" });
    expect(schema).toMatchObject({ type: "object", properties: expect.any(Object) });
  }
});

test("another policy is for the tools that act; a question always waits", async () => {
  const calls = [{ command: "true" }, { path: "a", content: "" }, { url: "https://example.org" }, { question: "?" }];
  const seen: unknown[] = [];
  const tools = actingTools({
    approval: (input, { name }) => {
      seen.push(input);
      return name === "run_command";
    },
  });
  const needs = await Promise.all(
    tools.map(async (tool, at) => {
      const prepared = await tool.prepare(calls[at]);
      return (
        prepared.ok &&
        (await prepared.needsApproval({ runId: "r", callId: "1.0", name: tool.name, context: undefined }))
      );
    }),
  );
  expect(needs).toEqual([true, false, false, true]);
  expect(seen).toEqual([
    { command: "true", args: [], cwd: "." },
    { path: "a", content: "", overwrite: false },
    { url: "https://example.org", maxBytes: 65_536 },
  ]);
});

test("the tools that act stay in the root that they are given", async () => {
  const box = await makeSandbox();
  try {
    const [run, write] = actingTools({ root: box.root });
    for (const [tool, args, answer] of [
      [write, { path: "a/b.txt", content: "x" }, { path: "a/b.txt", bytes: 1, created: true }],
      [run, { command: "ls", cwd: "a" }, { exitCode: 0, signal: null, stdout: "b.txt\n", stderr: "" }],
    ] as const) {
      const prepared = await tool?.prepare(args);
      if (prepared?.ok !== true) throw new Error("not ready");
      expect(await prepared.start(fakeContext())).toEqual(answer);
    }
  } finally {
    await box.remove();
  }
});

test("ask_user answers what the person said, also nothing much, and says so where nothing was said", () => {
  const ask = (answer?: string) =>
    askUser.execute({ question: "Which?", options: ["a", "b"] }, fakeContext(undefined, answer));
  expect(ask("c, rather")).toBe("c, rather");
  expect(ask("")).toBe("");
  expect(() => ask()).toThrow("The call was approved without an answer. Ask again, or go on without it.");
});
