export {
  defineTool,
  type ApprovalPolicy,
  type DefinedTool,
  type Json,
  type PreparedCall,
  type Tool,
  type ToolContext,
  type ToolReceipt,
  type ToolSpec,
} from "./tool.ts";
