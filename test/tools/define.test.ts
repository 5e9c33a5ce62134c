import { describe, expect, test } from "vitest";
import { z } from "zod";
import { defineTool, type ApprovalContext, type ApprovalPolicy } from "../../tools/index.ts";

const place: ApprovalContext = { runId: "run", callId: "1.0", name: "pay", context: { limit: 10 } };

/** What a tool with this policy says of itself, and of a call with these arguments. */
async function policyOf(approval: ApprovalPolicy<{ sum: number }> | undefined, args: unknown = { sum: 5 }) {
  const tool = defineTool({
    name: "pay",
    description: "",
    input: z.object({ sum: z.number().default(7) }),
    ...(approval === undefined ? {} : { approval }),
    execute: () => null,
  });
  const prepared = await tool.prepare(args);
  if (!prepared.ok) throw new Error(prepared.message);
  return { approval: tool.approval, asks: tool.asks, needed: await prepared.needsApproval(place) };
}

describe("a prepared call says whether it waits for a person", () => {
  test("never by default, and always or never for all calls of a tool", async () => {
    expect(await policyOf(undefined)).toEqual({ approval: "never", asks: false, needed: false });
    expect(await policyOf("never")).toMatchObject({ approval: "never", needed: false });
    expect(await policyOf("always")).toMatchObject({ approval: "always", needed: true });
  });

  test("by its parsed input and the run it belongs to", async () => {
    const seen: unknown[] = [];
    const over = (input: { sum: number }, ctx: ApprovalContext) => {
      seen.push(input, ctx);
      return input.sum > 6;
    };
    expect(await policyOf(over, { sum: 5 })).toMatchObject({ approval: "depends", needed: false });
    expect(await policyOf(over, {})).toMatchObject({ approval: "depends", needed: true });
    expect(seen).toEqual([{ sum: 5 }, place, { sum: 7 }, place]);
    expect(await policyOf((input, ctx) => Promise.resolve(over(input, ctx)), { sum: 5 })).toMatchObject({
      needed: false,
    });
  });

  test("what is no plain no waits, and what a policy throws is thrown", async () => {
    for (const answer of [undefined, null, 0, "", "no", Promise.resolve(undefined)]) {
      // @ts-expect-error What a program without types may answer.
      expect(await policyOf(() => answer)).toMatchObject({ needed: true });
    }
    await expect(policyOf(() => Promise.reject(new Error("no limit known")))).rejects.toThrow("no limit known");
    const broken = () => {
      throw new Error("no limit known");
    };
    await expect(policyOf(broken)).rejects.toThrow("no limit known");
  });
});

test("a tool that needs an answer in words says so", () => {
  const spec = { name: "ask", description: "", input: z.object({}), execute: () => null } as const;
  expect(defineTool({ ...spec, approval: "always", asks: true })).toMatchObject({ asks: true, approval: "always" });
});
