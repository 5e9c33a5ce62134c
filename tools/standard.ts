import { askUser } from "./ask-user.ts";
import { calculate } from "./calculate.ts";
import { currentTime } from "./current-time.ts";
import { fetchUrl } from "./fetch-url.ts";
import { listFiles } from "./list-files.ts";
import { readFile } from "./read-file.ts";
import { runCommand } from "./run-command.ts";
import { searchText } from "./search-text.ts";
import type { ApprovalPolicy, Tool } from "./tool.ts";
import { wait } from "./wait.ts";
import { writeFile } from "./write-file.ts";

/**
 * The tools that need no account and change nothing: `calculate`, `list_files`, `read_file`, `search_text`, `current_time`, `wait`.
 * The file tools stay inside `root` (default: the current folder at the time of this call), by real path.
 */
export function standardTools({ root = process.cwd() }: { readonly root?: string } = {}): Tool[] {
  return [calculate, listFiles({ root }), readFile({ root }), searchText({ root }), currentTime, wait];
}

/**
 * The tools that act: `run_command`, `write_file`, `fetch_url`, `ask_user`. Each call waits for a person unless `approval` says otherwise, of the
 * first three: a question waits always. Folders and files are those of `root` (default: the current folder at the time of this call).
 */
export function actingTools({
  root = process.cwd(),
  approval = "always",
}: { readonly root?: string; readonly approval?: ApprovalPolicy } = {}): Tool[] {
  return [runCommand({ root, approval }), writeFile({ root, approval }), fetchUrl({ approval }), askUser];
}
