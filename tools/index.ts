export { askUser } from "./ask-user.ts";
export { calculate } from "./calculate.ts";
export { currentTime } from "./current-time.ts";
export { fetchUrl, type FetchUrlOptions } from "./fetch-url.ts";
export { listFiles } from "./list-files.ts";
export { readFile } from "./read-file.ts";
export { runCommand, type RunCommandOptions } from "./run-command.ts";
export { searchText } from "./search-text.ts";
export { actingTools, standardTools } from "./standard.ts";
export {
  defineTool,
  type ApprovalContext,
  type ApprovalPolicy,
  type CrashPolicy,
  type DefinedTool,
  type Json,
  type PreparedCall,
  type Tool,
  type ToolContext,
  type ToolReceipt,
  type ToolSpec,
} from "./tool.ts";
export { wait } from "./wait.ts";
export { writeFile, type WriteFileOptions } from "./write-file.ts";
