import { basename } from "node:path";
import { z } from "zod";
import { compileGlob } from "./glob.ts";
import { openInside, placeInside } from "./root.ts";
import { decodeText } from "./text.ts";
import { defineTool } from "./tool.ts";
import { walk } from "./walk.ts";

const mib = 1024 * 1024;
/** Lines that one answer lists. `count` goes on counting. */
const maxMatches = 200;
/** Characters of a line that are shown around what was found. */
const maxLine = 240;
/** Bytes of one file, and of all files of one call, that are searched. */
const maxFile = 4 * mib;
const maxTotal = 256 * mib;

interface Match {
  readonly file: string;
  readonly line: number;
  readonly text: string;
}

/**
 * Tool `search_text`: the lines that hold a text, in the text files of a folder (or in one file) inside `root`. The text is literal: a
 * regular expression of a model could run for ever.
 *
 * Answers `{ matches: [{ file, line, text }], count, files, truncated?, incomplete? }`: sorted by file and line, at most 200 lines of at
 * most 240 characters; `count` is the number of all matching lines, `files` the number of files searched. Binary files and files above
 * 4 MiB are left out; after 256 MiB, or 100,000 entries, the search stops with `incomplete: true`.
 */
export function searchText(options: { readonly root: string }) {
  return defineTool({
    name: "search_text",
    description:
      "Finds the lines that hold a literal text in the text files of a folder and below, or in one file. " +
      "node_modules, .git, .rubato, links, binary files and files above 4 MiB are left out.",
    input: z.object({
      query: z
        .string()
        .min(1)
        .max(500)
        .refine((query) => !/[\r\n]/.test(query), "Search for one line at a time")
        .describe("The literal text, within one line"),
      path: z.string().max(4096).default(".").describe("A folder or a file, relative to the root. Default: the root"),
      pattern: z.string().max(200).optional().describe('Only files that match this glob: "*.ts", "src/**/*.md"'),
      ignoreCase: z.boolean().default(false),
    }),
    idempotent: true,
    async execute({ query, path, pattern, ignoreCase }, { signal }) {
      const matches = pattern === undefined ? () => true : compileGlob(pattern);
      const place = await placeInside(options.root, path);
      const isFolder = place.stats.isDirectory();
      const found = isFolder
        ? await walk(place, { recursive: true, signal })
        : { files: [basename(place.name)], complete: true };
      const needle = ignoreCase ? query.toLowerCase() : query;
      const lines: Match[] = [];
      let count = 0;
      let files = 0;
      let bytes = 0;
      let complete = found.complete;
      for (const name of found.files) {
        if (!matches(name)) continue;
        signal.throwIfAborted();
        if (bytes >= maxTotal) {
          complete = false;
          break;
        }
        const file = !isFolder || place.name === "." ? (isFolder ? name : place.name) : `${place.name}/${name}`;
        const text = await textOf(options.root, file, { strict: !isFolder });
        if (text === undefined) continue;
        files++;
        bytes += text.length;
        for (const [index, line] of text.split("\n").entries()) {
          const at = (ignoreCase ? line.toLowerCase() : line).indexOf(needle);
          if (at < 0) continue;
          count++;
          if (lines.length < maxMatches) lines.push({ file, line: index + 1, text: excerpt(line, at) });
        }
      }
      return {
        matches: lines,
        count,
        files,
        ...(count > lines.length ? { truncated: true } : {}),
        ...(complete ? {} : { incomplete: true }),
      };
    },
  });
}

/** The text of a file, or undefined for one that a search leaves out. A file that was asked for by name (`strict`) is an error instead. */
async function textOf(root: string, file: string, options: { readonly strict: boolean }): Promise<string | undefined> {
  try {
    const { place, handle } = await openInside(root, file);
    try {
      if (place.stats.size > maxFile) throw new Error(`"${file}" is larger than 4 MiB, so it is not searched.`);
      return decodeText(await handle.readFile(), file);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (options.strict) throw error;
    return undefined;
  }
}

function excerpt(line: string, at: number): string {
  const text = line.trim();
  if (text.length <= maxLine) return text;
  const start = Math.max(0, at - maxLine / 2);
  // Cutting between two halves of a character would leave text that no log takes.
  return line.slice(start, start + maxLine).replace(/^[\uDC00-\uDFFF]|[\uD800-\uDBFF]$/g, "");
}
