import { calculate } from "./calculate.ts";
import { currentTime } from "./current-time.ts";
import { listFiles } from "./list-files.ts";
import { readFile } from "./read-file.ts";
import { searchText } from "./search-text.ts";
import type { Tool } from "./tool.ts";
import { wait } from "./wait.ts";

/**
 * The tools that need no account and change nothing: `calculate`, `list_files`, `read_file`, `search_text`, `current_time`, `wait`.
 * The file tools stay inside `root` (default: the current folder at the time of this call), by real path.
 */
export function standardTools({ root = process.cwd() }: { readonly root?: string } = {}): Tool[] {
  return [calculate, listFiles({ root }), readFile({ root }), searchText({ root }), currentTime, wait];
}
