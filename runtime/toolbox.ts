import { z } from "zod";
import { canonical, hashText } from "../machines/hash.ts";
import type { Tool } from "../tools/tool.ts";
import { isDelay } from "./checks.ts";
import { messageOf, RubatoError } from "./errors.ts";
import type { ToolDescription } from "./models/chat-model.ts";
import type { Definition } from "./recovery.ts";

const NAME = /^[A-Za-z0-9_-]{1,64}$/;

/** The tools by name. Throws {@link RubatoError} `invalid_tool` with what to change. */
export function checkTools<Context>(tools: readonly Tool<Context>[]): ReadonlyMap<string, Tool<Context>> {
  if (!Array.isArray(tools)) throw new RubatoError("invalid_option", 'Option "tools" must be a list of tools.');
  const byName = new Map<string, Tool<Context>>();
  for (const tool of tools) {
    const { name } = tool;
    if (typeof name !== "string" || !NAME.test(name)) {
      throw new RubatoError(
        "invalid_tool",
        `The tool name ${JSON.stringify(name)} must be 1 to 64 characters of a-z A-Z 0-9 _ -.`,
      );
    }
    if (byName.has(name)) {
      throw new RubatoError("invalid_tool", `There are two tools named "${name}". Rename one of them.`);
    }
    if (typeof tool.prepare !== "function") {
      throw new RubatoError(
        "invalid_tool",
        `The tool "${name}" was not made by defineTool. Wrap it: defineTool({ name, ... }).`,
      );
    }
    if (tool.problem !== undefined) throw new RubatoError("invalid_tool", `The tool "${name}" ${tool.problem}`);
    if (!["never", "always", "depends"].includes(tool.approval)) {
      throw new RubatoError(
        "invalid_tool",
        `The approval of tool "${name}" must be "never", "always" or a function; received ${JSON.stringify(tool.approval)}.`,
      );
    }
    if (!["ask", "report", "rerun"].includes(tool.onCrash)) {
      throw new RubatoError(
        "invalid_tool",
        `The onCrash of tool "${name}" must be "ask", "report" or "rerun"; received ${JSON.stringify(tool.onCrash)}.`,
      );
    }
    if (tool.onCrash === "rerun" && !tool.idempotent) {
      throw new RubatoError(
        "invalid_tool",
        `The tool "${name}" cannot rerun after a crash, since it is not idempotent. Use onCrash: "ask" or "report", or declare it idempotent.`,
      );
    }
    if (tool.timeoutMs !== undefined && !isDelay(tool.timeoutMs, 1)) {
      throw new RubatoError(
        "invalid_tool",
        `The timeoutMs of tool "${name}" must be milliseconds from 1 to 2147483647; received ${tool.timeoutMs}.`,
      );
    }
    byName.set(name, tool);
  }
  return byName;
}

/** What the model is told about the tools. Throws {@link RubatoError} `invalid_tool` for an input that is no zod object. */
export function describeTools<Context>(tools: readonly Tool<Context>[]): ToolDescription[] {
  return tools.map(({ name, description, input }) => ({ name, description, parameters: parametersOf(name, input) }));
}

/** Many agents share their tools: the schema of each is told once. */
const told = new WeakMap<z.ZodType, Record<string, unknown>>();

function parametersOf(name: string, input: z.ZodType): Record<string, unknown> {
  const known = told.get(input);
  if (known !== undefined) return known;
  let schema: Record<string, unknown>;
  try {
    const { $schema: _dialect, ...rest } = z.toJSONSchema(input, { io: "input", target: "draft-7" });
    schema = rest;
  } catch (error) {
    throw new RubatoError(
      "invalid_tool",
      `The input of tool "${name}" cannot be told to a model: ${messageOf(error)}. Use a z.object of plain JSON types.`,
      {
        cause: error,
      },
    );
  }
  if (schema["type"] !== "object") {
    throw new RubatoError(
      "invalid_tool",
      `The input of tool "${name}" must be a z.object({ ... }); a model can only send an object.`,
    );
  }
  told.set(input, schema);
  return schema;
}

/** Many agents share their tools: each is hashed once. */
const hashes = new WeakMap<Record<string, unknown>, { readonly of: ToolDescription; readonly hash: string }>();

/** What an agent is made of, by name and hash: it changes with what the model is told. */
export function definitionOf(name: string, instructions: string, tools: readonly ToolDescription[]): Definition {
  return {
    name,
    instructions: hashText(instructions),
    tools: tools.map((tool) => ({ name: tool.name, hash: hashOf(tool) })),
  };
}

function hashOf(tool: ToolDescription): string {
  const known = hashes.get(tool.parameters);
  if (known?.of.name === tool.name && known.of.description === tool.description) return known.hash;
  const hash = hashText(canonical(tool));
  hashes.set(tool.parameters, { of: tool, hash });
  return hash;
}
