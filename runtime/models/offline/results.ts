import { z } from "zod";

/** What the standard tools answer, as far as the offline model reads it. */

export const listedSchema = z.object({
  files: z.array(z.string()),
  count: z.number(),
  folders: z.array(z.string()).optional(),
  incomplete: z.boolean().optional(),
});

export const fileSchema = z.object({
  path: z.string(),
  text: z.string(),
  totalLines: z.number().optional(),
});

export const foundSchema = z.object({
  matches: z.array(z.object({ file: z.string(), line: z.number(), text: z.string() })),
  count: z.number(),
});

export const clockSchema = z.object({
  timeZone: z.string(),
  local: z.string(),
  offset: z.string(),
  weekday: z.string(),
});

export const ranSchema = z.object({
  exitCode: z.number().nullable(),
  stdout: z.string(),
  stderr: z.string(),
});

export const savedSchema = z.object({ path: z.string(), bytes: z.number(), created: z.boolean() });

export const fetchedSchema = z.object({ url: z.string(), status: z.number(), text: z.string() });

export type Ran = z.infer<typeof ranSchema>;
export type Saved = z.infer<typeof savedSchema>;
export type Fetched = z.infer<typeof fetchedSchema>;
export type Listed = z.infer<typeof listedSchema>;
export type FileText = z.infer<typeof fileSchema>;
export type Found = z.infer<typeof foundSchema>;
export type Clock = z.infer<typeof clockSchema>;

/** A tool's answer held to a schema, or undefined when another tool of that name answered something else. */
export function readResult<Result>(schema: z.ZodType<Result>, content: string): Result | undefined {
  try {
    const parsed = schema.safeParse(JSON.parse(content));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

/** Why a person said no, as the result of a rejected call tells the model; nothing where they gave no reason. */
export function reasonIn(content: string): string | undefined {
  return /^Rejected by a person: ([\s\S]+)\. It did not run\.$/.exec(content)?.[1];
}
