import { z } from "zod";
import { compileGlob, reachesBelow } from "./glob.ts";
import { placeInside } from "./root.ts";
import { defineTool } from "./tool.ts";
import { maxEntries, walk } from "./walk.ts";

/** Names that one answer lists. `count` goes on counting. */
const maxListed = 1000;

/**
 * Tool `list_files`: the regular files of a folder inside `root`.
 *
 * Answers `{ files, count, folders?, truncated?, incomplete? }`: names relative to the root, sorted; `folders` (of the folder itself) when
 * it is not recursive and no pattern was given. At most 1,000 names; `truncated: true` when there are more. `count` is exact up to 100,000
 * entries looked at; past that the walk stops and `incomplete: true` says that there are more.
 */
export function listFiles(options: { readonly root: string }) {
  return defineTool({
    name: "list_files",
    description:
      "Lists the files of a folder, and counts them. node_modules, .git and .rubato are skipped, and links are not followed. " +
      'Use pattern "*.ts" for names, "**/*.ts" or recursive for folders below.',
    input: z.object({
      path: z.string().max(4096).default(".").describe("The folder, relative to the root. Default: the root"),
      pattern: z.string().max(200).optional().describe('A glob: "*.ts", "src/**/*.ts", "*.{md,txt}"'),
      recursive: z
        .boolean()
        .optional()
        .describe('Whether to look in folders below. Default: only when the pattern has "/" or "**"'),
    }),
    idempotent: true,
    async execute({ path, pattern, recursive }, { signal }) {
      const matches = pattern === undefined ? () => true : compileGlob(pattern);
      const deep = recursive ?? (pattern !== undefined && reachesBelow(pattern));
      const place = await placeInside(options.root, path);
      if (!place.stats.isDirectory()) throw new Error(`"${path}" is not a folder. Use read_file for a file.`);
      const found = await walk(place, { recursive: deep, signal });
      const prefix = place.name === "." ? "" : `${place.name}/`;
      const files = found.files.filter((name) => matches(name));
      return {
        files: files.slice(0, maxListed).map((name) => prefix + name),
        count: files.length,
        ...(deep || pattern !== undefined
          ? {}
          : { folders: found.folders.slice(0, maxListed).map((name) => prefix + name) }),
        ...(files.length > maxListed ? { truncated: true } : {}),
        ...(found.complete ? {} : { incomplete: true, note: `Stopped after ${maxEntries} entries: there are more.` }),
      };
    },
  });
}
