import type { LogCommand } from "../log-command.ts";
import { approveCommand } from "./approve.ts";
import { cancelCommand } from "./cancel.ts";
import { chartCommand } from "./chart.ts";
import { diffCommand } from "./diff.ts";
import { exportCommand } from "./export.ts";
import { forkCommand } from "./fork.ts";
import { inspectCommand } from "./inspect.ts";
import { interruptCommand } from "./interrupt.ts";
import { rejectCommand } from "./reject.ts";
import { replayCommand } from "./replay.ts";
import { resumeCommand } from "./resume.ts";
import { runsCommand } from "./runs.ts";
import { sendCommand } from "./send.ts";
import { serveCommand } from "./serve.ts";
import { showCommand } from "./show.ts";
import { topCommand } from "./top.ts";
import { verifyCommand } from "./verify.ts";

/** Every command over the log, in the order of the help. */
export const LOG_COMMANDS: readonly LogCommand[] = [
  runsCommand,
  showCommand,
  replayCommand,
  resumeCommand,
  approveCommand,
  rejectCommand,
  interruptCommand,
  sendCommand,
  cancelCommand,
  forkCommand,
  diffCommand,
  verifyCommand,
  exportCommand,
  chartCommand,
  serveCommand,
  topCommand,
  inspectCommand,
];
