import { expect, test } from "vitest";
import { z } from "zod";
import { standardTools } from "../../tools/index.ts";
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
